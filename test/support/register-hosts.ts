// Hosts that have said their first word to the hosts service, so that they can be drained and updated; what they say later is the test's.
import type { Ports } from '#libs/service/context.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { HOST_PRESENCE_EXAMPLE } from '#streams/generate-host-examples.ts';
import { HOST_REQUESTS, type HostOperation, type HostRequestOf } from '#streams/host-requests.ts';
import { agentRequestSubject, requestSubject } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';

export const registerHosts = async (ports: Ports, hosts: readonly string[]): Promise<void> => {
  const { host: _host, seenAt: _seenAt, ...word } = HOST_PRESENCE_EXAMPLE;
  const facts = { ...word, capacity: 1000, labels: [], bootId: 'boot', runners: [], ttlMs: 600_000 };
  await Promise.all(
    hosts.map((host) =>
      askRequest(ports.requests.client, {
        subject: agentRequestSubject({ ...BOUNDARY, agent: host }, 'hosts', 'announce'),
        request: { ...facts, journalId: host },
        answer: HOST_REQUESTS.announce.answer,
        timeoutMs: 30_000,
      }),
    ),
  );
};

/** What a person asks of a host; throws for any other answer than ok. */
export const moveHost = async <Op extends Exclude<HostOperation, 'announce'>>(
  ports: Ports,
  operation: Op,
  request: Omit<HostRequestOf<Op>, 'actor'>,
): Promise<void> => {
  const subject = requestSubject(BOUNDARY, 'hosts', operation);
  const body = jsonBytes({ ...request, actor: 'user:test' });
  const answer = await ports.requests.client.request(subject, body, { timeoutMs: 10_000 });
  const parsed = HOST_REQUESTS[operation].answer.parse(parseJson(answer.body));
  if (parsed.outcome !== 'ok') throw new Error(`${operation}: ${JSON.stringify(parsed)}`);
};
