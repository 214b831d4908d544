// What tests of sessions ask for and wait for.
import type { Ports } from '#libs/service/context.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { decodeSessionEvent } from '#streams/session-codec.ts';
import { SESSION_REQUESTS, type SessionOperation, type SessionRequestOf } from '#streams/session-requests.ts';
import { sessionViewSchema, type SessionView } from '#streams/session-view.ts';
import type { SessionEvent } from '#streams/session.ts';
import { aggregateSubject, requestSubject, type Boundary } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';
import { createRun, shown } from './run-facts.ts';
import { claimTurn, transition, turnInstruction } from './scripted-runner.ts';

/** Asks the sessions service; any answer is a value. */
export const askSessions = async <Op extends SessionOperation>(
  ports: Ports,
  operation: Op,
  request: SessionRequestOf<Op>,
  boundary: Boundary = BOUNDARY,
) => {
  const subject = requestSubject(boundary, 'sessions', operation);
  const answer = await ports.requests.client.request(subject, jsonBytes(request), { timeoutMs: 5000 });
  return SESSION_REQUESTS[operation].answer.parse(parseJson(answer.body));
};

/** The first event of a session that is of this type and that `isMeant`, as it comes. */
export const sessionEvent = async (
  ports: Ports,
  sessionId: string,
  type: SessionEvent['type'],
  isMeant: (event: SessionEvent) => boolean = () => true,
): Promise<SessionEvent & { readonly seq: number }> => {
  const found = new AbortController();
  const subjects = [aggregateSubject(BOUNDARY, 'session', sessionId)];
  try {
    for await (const entry of ports
      .log('TRANSITIONS')
      .replay({ subjects, follow: true, signal: found.signal })) {
      const reading = decodeSessionEvent(entry);
      if (reading.kind === 'known' && reading.event.type === type && isMeant(reading.event))
        return { ...reading.event, seq: entry.seq };
    }
  } finally {
    found.abort();
  }
  throw new Error('the replay ended');
};

/** The types of a session's transitions so far, short: `opened`, `updated`, … */
export const sessionTypes = async (ports: Ports, sessionId: string): Promise<readonly string[]> => {
  const types: string[] = [];
  for await (const entry of ports.log('TRANSITIONS').read(aggregateSubject(BOUNDARY, 'session', sessionId)))
    types.push((entry.headers['ce-type'] ?? '').replace(/^fleetlog\.session\.|\.v1$/g, ''));
  return types;
};

/** The summary of a session, once it reflects at least this sequence. */
export const shownSession = async (ports: Ports, sessionId: string, seq: number): Promise<SessionView> =>
  sessionViewSchema.parse(await shown(ports, { bucket: 'sessions', key: viewKey(BOUNDARY, sessionId) }, seq));

/** A run that was done; gives the sequence of its end. */
export const finishedRun = async (
  ports: Ports,
  sessionId: string,
  agent: string,
): Promise<{ readonly runId: string; readonly seq: number }> => {
  const runId = await createRun(ports, { sessionId, agent });
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await turn.finished();
  const { seq } = await transition(ports, runId, 'fleetlog.run.completed.v1');
  return { runId, seq };
};

/** A run that says much that is no output: 4 transitions, 11 reports. */
export const talkativeRun = async (ports: Ports, sessionId: string): Promise<string> => {
  const runId = await createRun(ports, { sessionId });
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  const about = { runId, sessionId, turnId: turn.turnId };
  await turn.started();
  for (let n = 0; n < 4; n += 1) await turn.report('reasoning', { ...about, text: `thought ${n}` });
  await turn.says('first words');
  for (let n = 0; n < 4; n += 1) await turn.report('reasoning', { ...about, text: `more ${n}` });
  await turn.finished();
  await transition(ports, runId, 'fleetlog.run.completed.v1');
  return runId;
};
