// Handing tasks over. The exception to "one decision, one append", with its reason: limits hold over all tasks, so what is given away must be
// fenced by all that was given away before. The grant's expected sequence does it: a dispatcher that has not seen the last grant is refused,
// and decides anew. Several tasks go in ONE atomic append with their grant, which stands last: who has seen it has seen every hand-over of
// it. A single task goes in two appends, the grant first (single-grant.ts). Does not know limits (see services/dispatch).
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { ADMISSION_ID } from '#streams/admission.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import type { TaskResultOf } from '#streams/task-requests.ts';
import { decideOne, grantOf, noteGoing, type Asked, type Going, type HandOverParts } from './hand-over.ts';
import type { SingleGrants } from './single-grant.ts';

interface Parts extends HandOverParts {
  readonly singles: SingleGrants;
}

type AssignAnswer = Answer<TaskResultOf<'assign'>>;

/** Tries while the tasks themselves change (a cancel, say). */
const MOST_TRIES = 8;

export type Assign = (boundary: Boundary, request: Asked) => Promise<AssignAnswer>;

const superseded = (expectedSeq: number, actualSeq: number): AssignAnswer =>
  refused(rejection('ADMISSION_SUPERSEDED', `another grant was made after ${expectedSeq}`, { actualSeq }));

/** Hands over one task: first the grant, then, once that is stored, the task's own transition. */
const grantOne = async (
  { singles }: Parts,
  boundary: Boundary,
  request: Asked,
  { going, now }: { readonly going: Going; readonly now: number },
): Promise<AssignAnswer> => {
  const end = await singles.grant(boundary, grantOf(boundary, request, [going], now), going);
  if (end.kind === 'carried-out') return ok({ granted: [going.event.taskId], upToSeq: end.seq });
  // Another grant was faster; or the task has gone on meanwhile, and this one is void: whoever asks decides anew once that is seen.
  return superseded(request.expectedSeq, end.seq);
};

/** Hands over several tasks at once; undefined when one of them has moved meanwhile. */
const grantTogether = async (
  parts: Parts,
  boundary: Boundary,
  request: Asked,
  { going, now }: { readonly going: readonly Going[]; readonly now: number },
): Promise<AssignAnswer | undefined> => {
  const grant = grantOf(boundary, request, going, now);
  const appending = parts.log.appendTogether([...going.map(({ entry }) => entry), grant]);
  const storing = appending.then((outcome) => (outcome.kind === 'appended' ? outcome.seqs : []));
  noteGoing(parts, boundary, going, storing);
  const outcome = await appending;
  if (outcome.kind === 'appended') {
    const upToSeq = outcome.seqs.at(-1) ?? 0;
    parts.singles.noteSettled(boundary, upToSeq);
    return ok({ granted: going.map(({ event }) => event.taskId), upToSeq });
  }
  const { subject, actualSeq } = outcome;
  return subject === aggregateSubject(boundary, 'admission', ADMISSION_ID)
    ? superseded(request.expectedSeq, actualSeq)
    : undefined;
};

/** One try; undefined when a task has moved meanwhile. */
const tryOnce = async (
  parts: Parts,
  boundary: Boundary,
  request: Asked,
  mayBeOld: boolean,
): Promise<AssignAnswer | undefined> => {
  const now = parts.clock.now();
  const { grantId } = request;
  const wanted = [...new Map(request.grants.map((grant) => [grant.taskId, { ...grant, grantId }])).values()];
  const decided = await Promise.all(
    wanted.map((grant) => decideOne(parts, boundary, grant, { now, mayBeOld })),
  );
  const going = decided.flatMap((one) => one.going ?? []);
  const [only] = going;
  if (only === undefined) return ok({ granted: [], upToSeq: Math.max(...decided.map(({ seq }) => seq)) });
  return going.length === 1
    ? grantOne(parts, boundary, request, { going: only, now })
    : grantTogether(parts, boundary, request, { going, now });
};

/** Builds the operation. Faults: the log's, `COMMAND_CONTENDED` (now). */
export const createAssign =
  (parts: Parts): Assign =>
  async (boundary, request) => {
    await parts.singles.settle(boundary, request.expectedSeq);
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      const answer = await tryOnce(parts, boundary, request, tries === 1);
      if (answer !== undefined) return answer;
    }
    const message = `the tasks asked for changed ${MOST_TRIES} times in a row`;
    throw new Fault({ code: 'COMMAND_CONTENDED', retry: 'now', message });
  };
