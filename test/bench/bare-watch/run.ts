// The floor of a rebuilt read model: a process that watches the buckets of its arguments (url, user, password, bucket…) until their present
// values have come, parses each, and keeps nothing of them. No code of ours.
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';

const [servers = '', user = '', pass = '', ...buckets] = process.argv.slice(2);
const connection = await connect({ servers, user, pass });
const kvm = new Kvm(connection);
let bytes = 0;
await Promise.all(
  buckets.map(async (name) => {
    const kv = await kvm.open(name);
    for await (const entry of await kv.watch()) {
      bytes += entry.value.byteLength;
      if (entry.length > 0) entry.json();
      if (entry.delta === 0) return;
    }
  }),
);
process.stdout.write(`ready ${bytes}\n`);
