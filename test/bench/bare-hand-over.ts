// The floor of a hand-over: the writes of it that wait for one another, made by hand by one client, and the instruction handed to another, which
// answers it. It decides nothing, expects nothing, keeps nothing in mind, and no service follows what it writes.
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { systemIds } from '#libs/system/ids.ts';
import type { TestBroker } from '#test/support/broker.ts';
import { bareHeaders } from './bare-publish.ts';
import { sampleReport } from './sample-entries.ts';

export interface BareHandOver extends AsyncDisposable {
  /** Once: grant, hand-over, run and instruction at once, the way to the runner and back, lease and claim at once, and the answer. */
  handOver(): Promise<void>;
}

const ORDERS = 'bench.bare.claim';

const connectBare = ({ url, user, password }: TestBroker, name: string): Promise<NatsConnection> =>
  connect({ servers: url, user, pass: password, name });

/** On a broker that is provisioned and that no service reads. */
export const openBareHandOver = async (broker: TestBroker): Promise<BareHandOver> => {
  const plane = await connectBare(broker, 'bench-bare-plane');
  const runner = await connectBare(broker, 'bench-bare-runner');
  const { body, headers } = sampleReport({ sourceSeq: 1 });
  const append = async (subject: string): Promise<void> => {
    const entry = { subject, id: systemIds.ulid(), headers, body };
    const answer = await plane.request(subject, body, { headers: bareHeaders(entry), timeout: 10_000 });
    const { seq } = answer.json<{ readonly seq?: number }>();
    if (seq === undefined) throw new Error(`not stored: ${answer.string()}`);
  };
  let onTaken: () => void = () => undefined;
  runner.subscribe('fleet.bench.bare.cmd.1.bare.turn', {
    callback: () => void runner.request(ORDERS, body, { timeout: 10_000 }).then(() => onTaken()),
  });
  plane.subscribe(ORDERS, {
    callback: (_problem, message) => {
      const run = systemIds.ulid();
      void Promise.all([
        append(`$KV.leases.bench.bare.${run}`),
        append(`fleet.bench.bare.run.1.${run}`),
      ]).then(() => message.respond());
    },
  });
  await Promise.all([plane.flush(), runner.flush()]);
  return {
    handOver: async () => {
      const id = systemIds.ulid();
      const taken = new Promise<void>((resolve) => {
        onTaken = resolve;
      });
      await append('fleet.bench.bare.admission.1.bare');
      await append(`fleet.bench.bare.task.1.${id}`);
      await Promise.all([
        append(`fleet.bench.bare.run.1.${id}`),
        append('fleet.bench.bare.cmd.1.bare.turn'),
        taken,
      ]);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([plane.close(), runner.close()]);
    },
  };
};
