// Whatever happens on the way (lost answers, crashes, runs that never start, another runner of the agent), each message is in exactly one
// prompt that has started.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AgentAnswer } from '#services/runner/agent-requests.ts';
import type { SteerAnswer } from '#services/runner/turn-commands.ts';
import { mailRunId, type AgentMailRequestOf, type AgentMailResultOf } from '#streams/mail-requests.ts';
import { away, incoming, mailWorld, newId, runIs, type MailWorld } from '#test/support/mail-rig.ts';
import { useOutboxRig, type OutboxRig } from '#test/support/outbox-rig.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const getRig = useOutboxRig();
const SESSION = newId('session');
const OVER: SteerAnswer = { kind: 'refused', code: 'TURN_OVER', message: 'over' };

interface ModelRun {
  readonly messageIds: readonly string[];
  state: 'queued' | 'running' | 'failed' | 'completed';
  turnId: string | null;
}

/** One history: a control plane that keeps runs, and the processes of one runner after another. */
class History {
  readonly starts = new Map<string, number>();
  readonly #rig: OutboxRig;
  readonly #name: string;
  readonly #runs = new Map<string, ModelRun>();
  readonly #mails: ReturnType<typeof incoming>[] = [];
  mode: 'back' | 'away' | 'lost-answers' = 'back';
  #processes = 0;
  /** The turn of a person in the conversation that some mail asks for. */
  #open: { readonly turnId: string; given: string[]; answer: (answer: SteerAnswer) => void } | undefined;
  #world: MailWorld;

  constructor(rig: OutboxRig, name: string) {
    this.#rig = rig;
    this.#name = name;
    this.#world = this.#begin();
  }

  async act(action: Action): Promise<void> {
    await ACTS[action](this);
    await this.advance(200);
  }

  /** All is well from now on: everything comes to its end. */
  async settle(): Promise<void> {
    this.mode = 'back';
    await this.close();
    for (let round = 0; round < 200 && this.#world.mailbox.unreadCount > 0; round++) {
      await this.start();
      this.endOne('running', 'completed');
      await this.advance(10_000);
    }
  }

  async end(): Promise<void> {
    await this.#world.stop();
    await this.#rig.closeNow(this.#world.outbox);
  }

  #begin(): MailWorld {
    this.#processes += 1;
    const world = mailWorld(this.#rig, {
      outbox: this.#rig.start({ name: this.#name }),
      seed: this.#processes,
    });
    world.answer = (request) => this.#answer(request);
    world.start();
    return world;
  }

  #answer(request: AgentMailRequestOf<'begin-turn'>): AgentAnswer<AgentMailResultOf<'begin-turn'>> {
    if (this.mode === 'away') return away();
    const runId = mailRunId(request.batchId);
    const run = this.#runs.get(runId) ?? { messageIds: request.messageIds, state: 'queued', turnId: null };
    expect(run.messageIds).toEqual(request.messageIds);
    this.#runs.set(runId, run);
    return this.mode === 'lost-answers' ? away() : runIs(run.state, run.turnId)(request);
  }

  async receive(more: Parameters<typeof incoming>[0]): Promise<void> {
    const mail = incoming(more);
    this.#mails.push(mail);
    this.starts.set(mail.messageId, 0);
    await this.#world.receive(mail);
  }

  #find(state: ModelRun['state']): readonly [string, ModelRun] | undefined {
    return [...this.#runs].find(([, run]) => run.state === state);
  }

  async repeat(): Promise<void> {
    for (const mail of this.#mails.slice(-2)) await this.#world.receive(mail);
  }

  async start(): Promise<void> {
    const found = this.#find('queued');
    if (found === undefined) return;
    const [runId, run] = found;
    const { turnId } = await this.#world.startTurn(runId);
    this.#started(run, turnId);
  }

  startForeign(): void {
    const found = this.#find('queued');
    if (found !== undefined) this.#started(found[1], newId('turn'));
  }

  #started(run: ModelRun, turnId: string): void {
    Object.assign(run, { state: 'running', turnId });
    for (const messageId of run.messageIds) this.starts.set(messageId, (this.starts.get(messageId) ?? 0) + 1);
  }

  endOne(from: ModelRun['state'], to: ModelRun['state']): void {
    const found = this.#find(from);
    if (found === undefined) return;
    const [runId, run] = found;
    run.state = to;
    this.#world.turns.turnOver(runId);
  }

  /** A turn in the conversation begins to run, and can be given mail. */
  open(): void {
    if (this.#open !== undefined) return;
    const [turnId, runId] = [newId('turn'), `run_${newId('turn').slice(-26)}`];
    const open = { turnId, given: [] as string[], answer: (): void => undefined };
    this.#open = open;
    const scope = { runId, sessionId: SESSION, turnId, commandId: newId('command'), fence: 1 };
    this.#world.steering.opened(scope, (text) => {
      open.given = [...text.matchAll(/^Id: (\S+)$/gm)].map(([, messageId]) => messageId ?? '');
      return new Promise((resolve) => Object.assign(open, { answer: resolve }));
    });
  }

  /** Its program takes up what it was given. */
  take(): void {
    const { given = [], answer } = this.#open ?? {};
    for (const messageId of given) this.starts.set(messageId, (this.starts.get(messageId) ?? 0) + 1);
    if (this.#open !== undefined) this.#open.given = [];
    answer?.({ kind: 'taken' });
  }

  /** It ends, whatever it was given. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    open?.answer(OVER);
    if (open !== undefined) await Promise.all([this.#world.steering.closed(open.turnId), this.advance(1)]);
  }

  async restart(): Promise<void> {
    this.#open = undefined;
    await this.end();
    this.#world = this.#begin();
  }

  async advance(ms: number): Promise<void> {
    await this.#rig.clock.advance(ms);
    for (let round = 0; round < 6; round++) await this.#rig.clock.settle();
  }
}

const ACTS = {
  mail: (history) => history.receive({}),
  urgent: (history) => history.receive({ priority: 'high' }),
  'session-mail': (history) => history.receive({ sessionId: SESSION }),
  open: (history) => history.open(),
  take: (history) => history.take(),
  close: (history) => history.close(),
  again: (history) => history.repeat(),
  away: (history) => void (history.mode = 'away'),
  'lost-answers': (history) => void (history.mode = 'lost-answers'),
  back: (history) => void (history.mode = 'back'),
  start: (history) => history.start(),
  'start-crash': (history) => {
    history.endOne('queued', 'failed');
    return history.restart();
  },
  'foreign-start': (history) => history.startForeign(),
  over: (history) => history.endOne('running', 'completed'),
  fail: (history) => history.endOne('queued', 'failed'),
  restart: (history) => history.restart(),
  wait: (history) => history.advance(5000),
} satisfies Record<string, (history: History) => Promise<void> | void>;
type Action = keyof typeof ACTS;
const ACTIONS = Object.keys(ACTS) as Action[];

test('each message is in exactly one prompt that has started, or that a running turn has taken up', async () => {
  let histories = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...ACTIONS), { minLength: 1, maxLength: 25 }),
      async (actions) => {
        histories += 1;
        const history = new History(getRig(), `history-${histories}`);
        for (const action of actions) await history.act(action);
        await history.settle();
        await history.end();
        expect([...history.starts.values()].filter((starts) => starts !== 1)).toEqual([]);
      },
    ),
    propertyRuns(60),
  );
}, 120_000);
