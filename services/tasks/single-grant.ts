// Grants of one task, which cost two plain appends where a batch costs a broker with files the time of eight: the grant first, then the task's
// own transition, which carries it out and is stored only once the grant is. What lies between is on the log: whoever dies there is followed by
// the reactor here, and no further grant is made before (see settle). So at most one grant is not carried out, and it is the last.
// A task that has gone on otherwise since (a cancel) is not handed over, and the grant is void: its own record tells.
import { createAhead } from '#libs/commands/ahead.ts';
import { ok as done, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { AppendOutcome, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { ADMISSION_ID, type Granted } from '#streams/admission.ts';
import { readEntry } from '#streams/catalogue.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { ACTOR, decideBy, noteGoing, type Going, type HandOverParts } from './hand-over.ts';

/** A grant of one task on the log. */
export interface SingleGrant {
  readonly boundary: Boundary;
  readonly grantId: string;
  readonly granted: Granted & { readonly taskSeq: number };
}

/** The grant of an entry; undefined: its tasks' transitions were appended with it. Throws `ADMISSION_UNREADABLE` (never). */
export const decodeSingleGrant = (entry: StoredEntry): SingleGrant | undefined => {
  const reading = readEntry(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'ADMISSION_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind !== 'admission') return undefined;
  const { tenant, project } = reading.place;
  const [granted] = reading.data.grants;
  if (granted?.taskSeq === undefined) return undefined;
  const { taskSeq } = granted;
  return { boundary: { tenant, project }, grantId: reading.envelope.id, granted: { ...granted, taskSeq } };
};

/** `carried-out`: `seq` is that of the task's transition; `void`: the grant is at `seq`, and the task has gone on otherwise; `superseded`: nothing is stored, another grant is at `seq`. */
interface GrantEnd {
  readonly kind: 'carried-out' | 'void' | 'superseded';
  readonly seq: number;
}

const seqOf = (outcome: AppendOutcome | undefined): number | undefined =>
  outcome?.kind === 'appended' ? outcome.seq : undefined;

/** How long the reactor leaves a grant to whoever made it. */
const GRACE_MS = 300;

export interface SingleGrants {
  /** Appends the grant, and then the transition of its task. Faults: the log's; the grant may stand then, and is carried out by somebody. */
  grant(boundary: Boundary, grant: NewEntry, going: Going): Promise<GrantEnd>;
  /** Sees to it that the grant at `seq`, when it is the last one, is carried out or void. Faults: the log's. */
  settle(boundary: Boundary, seq: number): Promise<void>;
  /** The grant at `seq` is carried out or void. */
  noteSettled(boundary: Boundary, seq: number): void;
  /** As the handler of a consumer: carries out what whoever made the grant has not. */
  handle(grant: SingleGrant): Promise<Handled>;
}

const keyOf = ({ tenant, project }: Boundary): string => `${tenant}.${project}`;

/** Grants and hands over, in this order. */
const makeGrant = async (
  parts: HandOverParts,
  boundary: Boundary,
  grant: NewEntry,
  going: Going,
): Promise<GrantEnd & { readonly grantSeq: number }> => {
  const appending = parts.log.appendInOrder([grant, going.entry]);
  const storing = appending.then(([, carriedOut]) => [seqOf(carriedOut)]);
  noteGoing(parts, boundary, [going], storing);
  const [granted, carriedOut] = await appending;
  const grantSeq = seqOf(granted) ?? 0;
  if (granted?.kind !== 'appended') return { kind: 'superseded', seq: granted?.actualSeq ?? 0, grantSeq };
  const seq = seqOf(carriedOut);
  return seq === undefined
    ? { kind: 'void', seq: grantSeq, grantSeq }
    : { kind: 'carried-out', seq, grantSeq };
};

/** From the log alone: what somebody else has granted. */
const complete = async (parts: HandOverParts, { boundary, grantId, granted }: SingleGrant): Promise<void> => {
  const { taskLog, log, clock } = parts;
  const { taskId, attempt, agent, taskSeq } = granted;
  try {
    const now = await taskLog.load({ boundary, taskId, actor: ACTOR });
    // Carried out, or void.
    if (now.seq !== taskSeq) return;
    const { going } = decideBy(boundary, { grantId, taskId, attempt, agent }, now, clock.now());
    if (going === undefined) return;
    const appending = log.append(going.entry);
    const storing = appending.then((outcome) => [seqOf(outcome)]);
    noteGoing(parts, boundary, [going], storing);
    await appending;
  } catch (error) {
    // A task whose record cannot be read goes nowhere, and must hold up nobody.
    if (!(error instanceof Fault && error.retry === 'never')) throw error;
  }
};

export const createSingleGrants = (parts: HandOverParts): SingleGrants => {
  const { log, clock } = parts;
  const settled = new Map<string, number>();
  const ours = createAhead();

  return {
    grant: async (boundary, grant, going) => {
      const granting = makeGrant(parts, boundary, grant, going);
      // Its delivery comes with the answer, or before it.
      ours.note(
        grant.id,
        granting.then(({ kind }) => kind !== 'superseded'),
      );
      const end = await granting;
      // Carried out, or never to be.
      if (end.kind !== 'superseded') settled.set(keyOf(boundary), end.grantSeq);
      return end;
    },
    settle: async (boundary, seq) => {
      if (seq === 0 || settled.get(keyOf(boundary)) === seq) return;
      const last = await log.last(aggregateSubject(boundary, 'admission', ADMISSION_ID));
      if (last?.seq !== seq) return;
      const grant = decodeSingleGrant(last);
      if (grant !== undefined) await complete(parts, grant);
      settled.set(keyOf(boundary), seq);
    },
    noteSettled: (boundary, seq) => void settled.set(keyOf(boundary), seq),
    handle: async (grant) => {
      let carriedOut = ours.take(grant.grantId);
      if (carriedOut === false) {
        await clock.sleep(GRACE_MS);
        carriedOut = ours.take(grant.grantId);
      }
      if (!(await carriedOut)) await complete(parts, grant);
      return done;
    },
  };
};
