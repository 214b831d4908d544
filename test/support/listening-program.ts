// A program of the provider exec that takes up some of the words that it is given.

const SOURCE = `
const say = (line) => console.log(JSON.stringify(line));
const prompt = require('node:fs').readFileSync(0, 'utf8');
const done = (summary) => { say({ type: 'result', outcome: 'done', summary }); process.exit(0); };
if (prompt !== 'listen') done(prompt);
say({ type: 'steerable', acknowledges: true });
say({ type: 'text', text: 'working' });
const lines = require('node:readline').createInterface({ input: require('node:fs').createReadStream(null, { fd: 3 }) });
let count = 0;
lines.on('line', (line) => {
  count += 1;
  if (count === 2) done('first turn');
  say({ type: 'steered', commandId: JSON.parse(line).commandId });
});
`;

/** Does what its prompt says, but of `listen`: takes up the first words that it gets, and ends with the second unread. */
export const LISTENER = [process.execPath, '-e', SOURCE];
