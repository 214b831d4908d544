// A program for the provider `exec` that reads its mail as an agent would: keeps its prompt, answers what needs a reply through the
// runner's local endpoint, and says what it owes afterwards. Plain enough to be what a third party writes.
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { askLocally } from '#libs/local-http/ask-locally.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';

const { FLEETLOG_CONTROL: address = '', FLEETLOG_TURN_TOKEN: token = '' } = readEnvironment();
const prompt = await text(process.stdin);
appendFileSync('prompts.txt', `${prompt}\n`);

// Whoever writes so wants it to be at work until told.
if (prompt.includes('wait for the file go')) spawnSync('sh', ['-c', 'until [ -e go ]; do sleep 0.02; done']);

const say = (line: {
  readonly type: string;
  readonly text?: string;
  readonly [field: string]: unknown;
}): void => {
  appendFileSync('answers.txt', `${line.text ?? ''}\n`);
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

const asked = prompt.includes('reply later') ? [] : prompt.matchAll(/^Reply needed: yes, to (msg_\w+)$/gm);
for (const [, replyTo] of asked) {
  const body = { replyTo, body: `about ${replyTo}: yes` };
  const answer = await askLocally(
    { address, token, method: 'POST', path: '/v1/mail/reply', body },
    systemClock,
  );
  say({ type: 'text', text: `reply ${answer.status} ${JSON.stringify(answer.body)}` });
}
const lookUp = async (): Promise<{ readonly owed: readonly unknown[] }> => {
  const request = { address, token, method: 'GET', path: '/v1/obligations' } as const;
  return (await askLocally(request, systemClock)).body as { readonly owed: readonly unknown[] };
};
let looked = await lookUp();
// What others change is shown as soon as it is pushed here.
const isExpected = (): boolean =>
  (!prompt.includes('look until you owe') || looked.owed.length > 0) &&
  (!prompt.includes('look until all is answered') || looked.owed.length === 0);
while (!isExpected()) looked = await lookUp();
say({ type: 'text', text: `owed ${JSON.stringify(looked)}` });
say({ type: 'result', outcome: 'done', summary: 'read' });
