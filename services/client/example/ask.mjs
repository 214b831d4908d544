/* oxlint-disable no-console, no-restricted-properties -- a program of its own, for a terminal */
// A program of somebody else's: asks for a piece of work, follows it, and reads what became of it.
//   npm install <checkout of fleetlog>    (a link: Node 22.18 and later run its sources as they are)
//   FLEETLOG_API_URL=http://127.0.0.1:7710 FLEETLOG_API_TOKEN=… node ask.mjs "say hello"
import { createClient, problemIn } from 'fleetlog/client';

const client = createClient({
  url: process.env.FLEETLOG_API_URL ?? 'http://127.0.0.1:7710',
  token: process.env.FLEETLOG_API_TOKEN,
});

try {
  const { runId } = await client.call('createRun', { body: { prompt: process.argv[2] ?? 'say hello' } });
  let afterSeq;
  for await (const { event, data } of client.stream('streamRun', { path: { id: runId } })) {
    console.log(event, data.type ?? '');
    if (event === 'transition') afterSeq = data.seq;
  }
  // At least as of the last transition that was told: summaries may be a moment behind.
  const run = await client.call('getRun', { path: { id: runId }, query: { afterSeq } });
  console.log(`${runId} ${run.state}: ${run.result?.summary ?? run.cancelReason ?? ''}`);
  let count = 0;
  for await (const one of client.items('listRuns', 'runs', { query: { session: run.sessionId, limit: 10 } }))
    count += one.runId === runId ? 1 : 0;
  console.log(`listed ${count} time(s)`);
} catch (error) {
  const problem = problemIn(error);
  if (problem === undefined) throw error;
  console.error(`${problem.status} ${problem.code}: ${problem.message}`);
  process.exitCode = 1;
}
