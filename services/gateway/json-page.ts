// A page of a list as JSON bytes: each value goes out as it is stored, with what is added to it here, and is not parsed on the way. The only cost of a
// page is then that of its bytes.
import { JsonWriter } from '#libs/projections/json-writer.ts';
import type { ReadView } from '#libs/projections/read-view.ts';
import type { GatewayRequest } from './http.ts';

/** All of it is synchronous: one writer serves every page. */
const writer = new JsonWriter();

/** What stands beside the list, at least one field; the function is given how many values are in it. */
export type Rest = object | ((shown: number) => object);

interface JsonPage<Row> {
  /** What the list is called in the answer. */
  readonly name: string;
  readonly view: Pick<ReadView<object>, 'write'>;
  readonly rows: readonly Row[];
  /** Fields that each value goes on with, at least one; absent: none. */
  readonly moreOf?: (row: Row) => object;
  readonly rest: Rest;
}

/**
 * Answers with a page. What is not there any more, or cannot be read, is left out: it is not counted, and the next page begins after it all the same, so
 * whoever follows the pages sees everything else.
 */
export const answerPage = <Row extends { readonly key: string }>(
  request: GatewayRequest,
  { name, view, rows, moreOf, rest }: JsonPage<Row>,
): Response => {
  writer.begin(`{${JSON.stringify(name)}:[`);
  let shown = 0;
  for (const row of rows) {
    const more = moreOf === undefined ? '}' : JSON.stringify(moreOf(row));
    const around = { before: shown === 0 ? '' : ',', more };
    if (view.write(row.key, writer, around)) shown += 1;
  }
  writer.text(`],${JSON.stringify(typeof rest === 'function' ? rest(shown) : rest).slice(1)}`);
  return request.body(writer.written(), 200, { 'content-type': 'application/json' });
};
