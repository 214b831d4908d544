// A page of a list as JSON bytes: each value goes out as it is stored, with what is added to it here, and is not parsed on the way. The only cost of a
// page is then that of its bytes.
import { JsonWriter } from '#libs/projections/json-writer.ts';
import type { ReadView } from '#libs/projections/read-view.ts';
import { viewKey } from '#streams/buckets.ts';
import type { GatewayParts, GatewayRequest } from './http.ts';

/** All of it is synchronous: one writer serves every page. */
const writer = new JsonWriter();

interface JsonPage<Row> {
  /** What the list is called in the answer. */
  readonly name: string;
  readonly view: Pick<ReadView<object>, 'write'>;
  readonly rows: readonly Row[];
  /** Fields that each value goes on with, at least one; absent: none. */
  readonly moreOf?: (row: Row) => object;
  /** What stands beside the list, at least one field. */
  readonly rest: object;
}

/** Answers with a page. What is not there any more, or cannot be read, is left out. */
export const answerPage = <Row extends { readonly id: string }>(
  request: GatewayRequest,
  { boundary }: Pick<GatewayParts, 'boundary'>,
  { name, view, rows, moreOf, rest }: JsonPage<Row>,
): Response => {
  writer.begin(`{${JSON.stringify(rest).slice(1, -1)},${JSON.stringify(name)}:[`);
  let isFirst = true;
  for (const row of rows) {
    const more = moreOf === undefined ? '}' : JSON.stringify(moreOf(row));
    const around = { before: isFirst ? '' : ',', more };
    if (view.write(viewKey(boundary, row.id), writer, around)) isFirst = false;
  }
  writer.text(']}');
  return request.body(writer.written(), 200, { 'content-type': 'application/json' });
};
