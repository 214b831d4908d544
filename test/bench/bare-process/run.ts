// The floor of the footprint: a process that connects to the broker of its arguments (url, user, password), says `ready`, and
// holds the connection. No code of ours.
import { connect } from '@nats-io/transport-node';

const [servers = '', user = '', pass = ''] = process.argv.slice(2);
await connect({ servers, user, pass });
process.stdout.write('ready\n');
