// Mail over the whole stack, as people and agents use it: `fleetlog send` on one side, `fleetlog reply` in a turn on the other.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decodeMail, type MailEvent } from '#streams/mail-codec.ts';
import { stackLog, type StackLog } from '#test/support/stack-log.ts';
import { stackHome, type StackHome } from '#test/support/stack.ts';

const FLEETLOG = fileURLToPath(new URL('../../services/fleetlog.mjs', import.meta.url));
/** An agent of a few lines: it answers what needs a reply, as its prompt says. */
const AGENT = `
prompt=$(cat)
for id in $(printf '%s' "$prompt" | sed -n 's/^Reply needed: yes, to //p'); do
  '${process.execPath}' '${FLEETLOG}' reply "$id" "the new one" >&2 || exit 1
done
echo '{"type":"result","outcome":"done","summary":"answered"}'
`;

let home: StackHome;
let streams: StackLog;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fleetlog-agent-'));
  const agent = join(folder, 'agent.sh');
  writeFileSync(agent, AGENT);
  home = await stackHome('stack-mail');
  await home.up([], { FLEETLOG_RUNNER_PROGRAM: `sh,${agent}` });
  streams = await stackLog(home);
});
afterAll(async () => {
  await streams[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** The first entry of MESSAGES that fits. */
const heard = async (fits: (event: MailEvent) => boolean): Promise<MailEvent> => {
  const found = new AbortController();
  for await (const entry of streams.log('MESSAGES').replay({ follow: true, signal: found.signal })) {
    const reading = decodeMail(entry);
    if (reading.kind !== 'known' || !fits(reading)) continue;
    found.abort();
    return reading;
  }
  throw new Error('the replay ended');
};

test('a message that a person sends is put before the agent, which replies, and nothing is owed any more', async () => {
  const sent = await home.cli(['send', 'builder-1', 'which cart do you mean?', '--needs-reply', '--json']);
  expect(sent.code, sent.stderr).toBe(0);
  const { messageId } = sent.json();
  const reply = await heard((event) => event.name === 'sent' && event.data.replyTo === messageId);
  expect(reply.data).toMatchObject({ from: 'builder-1', to: 'user', body: 'the new one' });
  await heard((event) => event.name === 'answered' && event.data.messageId === messageId);
  const owed = async (): Promise<unknown> =>
    (await home.cli(['obligations', 'builder-1', '--json'])).json()['owed'];
  await expect.poll(owed, { timeout: 20_000 }).toEqual([]);
  const inbox = await home.cli(['inbox', '--json']);
  expect(inbox.stdout).toContain(reply.data.messageId);
  const unknown = await home.cli(['send', 'bilder-1', 'hello', '--json']);
  expect(unknown.code).not.toBe(0);
  expect(unknown.stderr + unknown.stdout).toContain('RECIPIENT_UNKNOWN');
}, 60_000);
