// What a socket brought, read in one pass over whole messages and byte by byte as the client does: the same comes out, whatever the pieces.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readWholeMessages, type ClientParser } from '#libs/nats/whole-messages.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { propertyRuns } from '#test/support/seeds.ts';

type NewParser = new (dispatcher: { push(event: object): void }) => ClientParser;

/** The client's parser, which it does not export. */
const clientParser = async (): Promise<NewParser> => {
  const connection = await testConnection();
  const { parser } = (connection.nc as unknown as { readonly protocol: { readonly parser: object } })
    .protocol;
  await connection.close();
  return parser.constructor as NewParser;
};

const token = fc.stringMatching(/^[$a-zA-Z0-9._-]{1,40}$/);
const number = fc.integer({ min: 0, max: 99_999 });
const dataArb = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
  // What looks like the protocol is data all the same.
  {
    weight: 1,
    arbitrary: fc.constantFrom('\r\n', 'PING\r\n', 'MSG a 1 2\r\nhi\r\n').map((text) => Buffer.from(text)),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 5000 }).map((size) => Buffer.alloc(size, 'x')) },
);
const framed = (line: string, data: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${line}\r\n`), data, Buffer.from('\r\n')]);
const messageArb = fc
  .record({
    subject: token,
    sid: number,
    reply: fc.option(token),
    headers: fc.boolean(),
    data: dataArb,
    cut: number,
  })
  .map(({ subject, sid, reply, headers, data, cut }) => {
    const sizes = headers ? `${cut % (data.length + 1)} ${data.length}` : `${data.length}`;
    return framed(
      `${headers ? 'H' : ''}MSG ${subject} ${sid} ${reply === null ? '' : `${reply} `}${sizes}`,
      data,
    );
  });
const frameArb = fc.oneof(
  { weight: 6, arbitrary: messageArb },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('PING', 'PONG', '+OK', "-ERR 'Unknown'", 'INFO {"a":1}')
      .map((line) => Buffer.from(`${line}\r\n`)),
  },
  // Written as no broker does, and some of it wrong: whatever the client makes of it.
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        'msg a 1 2',
        'MSG  5 1 2',
        'MSG a 1 2 ',
        'MSG\ta 1 2',
        'MSG a x 2',
        'HMSG a 1 3 2',
        'MSG a 1 -2',
        'MSG a 2',
      )
      .map((line) => framed(line, Buffer.from('hi'))),
  },
);

const latin1 = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');

/** An event of the parser, whatever kind of bytes are in it. */
const asText = (event: object): string => {
  const { kind, msg, data } = event as Partial<Parameters<ClientParser['dispatcher']['push']>[0]>;
  return JSON.stringify([
    kind,
    latin1(msg?.subject),
    msg?.sid,
    latin1(msg?.reply),
    msg?.hdr,
    msg?.size,
    latin1(data),
  ]);
};

/** Everything that comes out of pieces, as text, and how it ended. */
const outcomeOf = (
  parser: ClientParser,
  heard: readonly object[],
  pieces: readonly Buffer[],
): readonly string[] => {
  let end = 'well';
  try {
    for (const piece of pieces) parser.parse(piece);
  } catch (error) {
    end = String(error);
  }
  return [...heard.map(asText), end];
};

/** The bytes cut in pieces of the given lengths, over and over. */
const cut = (bytes: Buffer, lengths: readonly number[]): readonly Buffer[] => {
  const pieces: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const length = lengths[n % lengths.length] ?? 1;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
};

test('messages come out as the client reads them, in pieces of any size, mistakes included', async () => {
  const Parser = await clientParser();
  const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 100, max: 9000 })), {
    minLength: 1,
    maxLength: 6,
  });
  let taken = 0;
  fc.assert(
    fc.property(fc.array(frameArb, { maxLength: 8 }), lengths, (frames, sizes) => {
      const pieces = cut(Buffer.concat(frames), sizes);
      const outcome = (isChanged: boolean): readonly string[] => {
        const heard: object[] = [];
        const parser = new Parser({ push: (event) => void heard.push(event) });
        if (isChanged) {
          const bytewise = parser.parse.bind(parser);
          parser.parse = (bytes) => {
            taken -= bytes.length;
            bytewise(bytes);
          };
          readWholeMessages(parser);
          for (const piece of pieces) taken += piece.length;
        }
        return outcomeOf(parser, heard, pieces);
      };
      expect(outcome(true)).toEqual(outcome(false));
    }),
    propertyRuns(400),
  );
  // Not all of it was left to the client.
  expect(taken).toBeGreaterThan(0);
});
