// Finds a run or a session for a reader. What the summary does not show yet is looked up in the log before it is called
// unknown, so an id that a client was just given is always found. Nothing is looked up beyond the tenant and project served here: what
// others have is unknown here, like what nobody has.
import { aggregateSubject } from '#streams/subjects.ts';
import { viewKey, type ActivityView, type RunView } from '#streams/buckets.ts';
import type { SessionView } from '#streams/session-view.ts';
import { catchUp, shows } from './catch-up.ts';
import { refuse, type GatewayParts, type Refused } from './http.ts';
import { isRunId, isSessionId } from './input.ts';

/** A run as shown: its summary, and what was reported in it so far. */
export type ShownRun = RunView & { readonly activity: ActivityView | null };

const unknownRun = (runId: string): Refused =>
  refuse('RUN_UNKNOWN', `no run ${runId.slice(0, 100)} in this tenant and project`);

const shown = ({ views }: GatewayParts, key: string): ShownRun | undefined => {
  const run = views.runs.get(key);
  if (run === undefined) return undefined;
  const activity = views.activity.get(key);
  return {
    seq: run.seq,
    ...run.state,
    activity: activity === undefined ? null : { seq: activity.seq, ...activity.state },
  };
};

/**
 * The run as the summary shows it, at least as of `afterSeq` (a sequence of TRANSITIONS).
 * Refusal: `RUN_UNKNOWN`. Faults: `VIEW_BEHIND` (later), the log's.
 */
export const findRun = async (
  parts: GatewayParts,
  runId: string,
  afterSeq?: number,
): Promise<ShownRun | Refused> => {
  if (!isRunId(runId)) return unknownRun(runId);
  const { views, boundary, transitions } = parts;
  const key = viewKey(boundary, runId);
  await shows(parts, views.runs, afterSeq, key);
  const run = shown(parts, key);
  if (run !== undefined) return run;
  const last = await transitions.last(aggregateSubject(boundary, 'run', runId));
  if (last !== undefined) {
    await shows(parts, views.runs, last.seq, key);
    return shown(parts, key) ?? unknownRun(runId);
  }
  return unknownRun(runId);
};

/**
 * A session as the summary shows it, at least as of `afterSeq` (a sequence of one of its transitions or its runs'); one that is not shown
 * is waited for until the summary has caught up with the log. Refusal: `SESSION_UNKNOWN`. Faults: `VIEW_BEHIND` (later), the log's.
 */
export const findSession = async (
  parts: GatewayParts,
  sessionId: string,
  afterSeq?: number,
): Promise<SessionView | Refused> => {
  const { views, boundary } = parts;
  const unknown = refuse(
    'SESSION_UNKNOWN',
    `no session ${sessionId.slice(0, 100)} in this tenant and project`,
  );
  if (!isSessionId(sessionId)) return unknown;
  const key = viewKey(boundary, sessionId);
  await shows(parts, views.sessions, afterSeq, key);
  if (views.sessions.get(key) === undefined)
    await catchUp(parts, views.sessions, { key, families: ['run', 'session'] });
  const session = views.sessions.get(key);
  return session === undefined ? unknown : { seq: session.seq, ...session.state };
};
