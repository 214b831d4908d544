// What can be asked over HTTP and what can be asked over NATS: nothing that changes something is offered on one and forgotten on the other, but for
// what is named here with its reason.
import { expect, test } from 'vitest';
import { DISPATCH_REQUESTS } from '#streams/dispatch-requests.ts';
import { HOST_REQUESTS } from '#streams/host-requests.ts';
import { API } from '#streams/http/api.ts';
import { IDENTITY_REQUESTS } from '#streams/identity-requests.ts';
import { MAIL_REQUESTS } from '#streams/mail-requests.ts';
import { POLICY_REQUESTS } from '#streams/policy-requests.ts';
import { RUN_REQUESTS } from '#streams/run-requests.ts';
import { SESSION_REQUESTS } from '#streams/session-requests.ts';
import { TASK_REQUESTS } from '#streams/task-requests.ts';

const TABLES = {
  runs: RUN_REQUESTS,
  tasks: TASK_REQUESTS,
  sessions: SESSION_REQUESTS,
  lifecycle: POLICY_REQUESTS,
  hosts: HOST_REQUESTS,
  mail: MAIL_REQUESTS,
  identity: IDENTITY_REQUESTS,
  dispatch: DISPATCH_REQUESTS,
};

/** What a request over NATS is over HTTP. */
const OVER_HTTP: Readonly<Record<string, readonly (keyof typeof API)[]>> = {
  'runs.create': ['createRun'],
  'runs.cancel': ['cancelRun'],
  // An interrupt is a command of its own kind.
  'runs.create-command': ['createCommand', 'interruptRun'],
  'runs.cancel-command': ['cancelCommand'],
  'runs.retry': ['retryRun'],
  'runs.unstick': ['unstickRun'],
  'runs.answer-approval': ['answerApproval'],
  'tasks.create': ['createTask'],
  'tasks.cancel': ['cancelTask'],
  'tasks.retry': ['retryTask'],
  'sessions.upsert': ['upsertSession'],
  'sessions.store': ['storeSession'],
  'sessions.evict': ['evictSession'],
  'sessions.collect': ['collectSessions'],
  'sessions.mark-read': ['readSession', 'readTask'],
  'lifecycle.apply': ['applyPolicies'],
  'lifecycle.rollback': ['rollbackPolicy'],
  'lifecycle.remove': ['removePolicy'],
  'lifecycle.start': ['startAgent'],
  'lifecycle.stop': ['stopAgent'],
  'lifecycle.restart': ['restartAgent'],
  'lifecycle.pause': ['pausePolicy'],
  'lifecycle.resume': ['resumePolicy'],
  'lifecycle.reset': ['resetPolicy'],
  'hosts.drain': ['drainHost'],
  'hosts.undrain': ['undrainHost'],
  'hosts.update': ['updateHost'],
  'hosts.retire': ['retireHost'],
  'mail.send': ['sendMessage'],
  'mail.reply': ['replyToMessage'],
  'mail.nudge': ['nudgeAgent'],
  'identity.add-agent': ['addAgent'],
  'identity.add-agents': ['addAgents'],
  'dispatch.explain': ['listQueues'],
};

/** Asked by programs of the fleet alone, never by people. */
const NATS_ALONE: Readonly<Record<string, string>> = {
  'runs.claim': 'a runner takes a run: its lease lives by the connection',
  'runs.renew': 'a runner keeps its lease',
  'runs.announce': 'a runner says what it holds',
  'tasks.assign': 'dispatch hands over, fenced by its last grant',
  'tasks.recall': 'dispatch takes an attempt back that no runner has begun',
  'hosts.announce': 'a host says what it is',
};

test('what changes something can be asked both ways, and each exception has a reason', () => {
  const operations = Object.entries(TABLES).flatMap(([service, table]) =>
    Object.keys(table).map((operation) => `${service}.${operation}`),
  );
  expect([...Object.keys(OVER_HTTP), ...Object.keys(NATS_ALONE)].toSorted()).toEqual(operations.toSorted());
  const posted = Object.entries(API).flatMap(([name, { method }]) => (method === 'POST' ? [name] : []));
  const asked: string[] = Object.values(OVER_HTTP).flat();
  expect(posted.filter((name) => !asked.includes(name))).toEqual([]);
});
