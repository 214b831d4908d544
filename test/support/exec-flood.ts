// Takes one turn of a program that floods and says how much memory that took (test/fault/runner-exec.test.ts): its own process, so that
// nothing else is measured. Prints one line of JSON.
import { startNode } from './exec-turn.ts';

const LINES = 200_000;

let characters = 0;
let next = 0;
let isInOrder = true;
const before = process.memoryUsage().rss;
const { turn } = startNode(
  `let at = 0;
   const more = () => {
     while (at < ${LINES}) if (!process.stdout.write(at++ + ' ' + 'y'.repeat(500) + '\\n')) return process.stdout.once('drain', more);
     say({ type: 'result', outcome: 'done' });
   };
   more();`,
  {
    sink: async (event) => {
      const text = event.kind === 'unknown-line' ? event.line : event.kind === 'output' ? event.text : '';
      characters += text.length;
      for (const line of text.trimEnd().split('\n')) isInOrder &&= line.startsWith(`${next++} `);
      await new Promise((resolve) => setImmediate(resolve));
    },
  },
);
const facts = await turn.ended;
const growthBytes = process.resourceUsage().maxRSS * 1024 - before;
process.stdout.write(
  `${JSON.stringify({ outcome: facts.closing?.outcome, lines: next, isInOrder, characters, growthBytes })}\n`,
);
