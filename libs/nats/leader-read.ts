// Reads of single messages through the stream's leader: never stale, one round trip each. For decisions.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { askApi, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { answerFault, classifyAnswer, type FaultFamily } from './errors.ts';
import { type JsonMessage, leaderEntry } from './stored-entry.ts';

/** Which message: the last of a subject, the first of a subject from a sequence on, or the one with a sequence. */
type MessageQuery =
  | { readonly last_by_subj: string }
  | { readonly next_by_subj: string; readonly seq: number }
  | { readonly seq: number };

export interface LeaderRead {
  readonly family: FaultFamily;
  readonly stream: string;
  readonly query: MessageQuery;
  readonly patience?: Patience;
}

/** The message, or undefined when there is none. Headers of deleted KV keys and markers are content here. */
export const readFromLeader = async (
  connection: NatsConnectionHandle,
  read: LeaderRead,
): Promise<StoredEntry | undefined> => {
  const { family, stream, query } = read;
  const what = `read of stream ${stream}`;
  const answer = await askApi(connection, {
    family,
    what,
    subject: `$JS.API.STREAM.MSG.GET.${stream}`,
    body: JSON.stringify(query),
    ...(read.patience === undefined ? {} : { patience: read.patience }),
  });
  if (answer.kind === 'ok') return leaderEntry(answer.value['message'] as JsonMessage);
  if (classifyAnswer(answer.error) === 'not-found') return undefined;
  throw answerFault(family, what, answer.error);
};
