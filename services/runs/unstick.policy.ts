// What a run waits for, from the facts: in plain words, with what would help. Pure and total; does nothing itself (unstick.ts).
import type { WAITS_FOR } from '#streams/run-command-requests.ts';
import { isEnded, isHeld, type OpenApproval, type Run } from './run-state.policy.ts';

/** What would help: tell the agent again, look into the lost lease, end the questions whose time is over, tell the runner again to stop. */
export type Remedy = 'remind' | 'expire-lease' | 'expire-approvals' | 'cancel-again';

/** What is known of the surroundings of a run. */
export interface RunFacts {
  readonly now: number;
  /** A lease key is there: its claim lives, or began and was never appended. */
  readonly hasLease: boolean;
  /** The runner of the agent, as far as it was heard of lately. */
  readonly runner: {
    readonly runnerId: string;
    readonly providers: readonly string[];
    readonly slots: number;
  } | null;
  /** The instruction that the run is started with is still kept. */
  readonly isInstructed: boolean;
  /** Other runs that the agent holds now, and those that were queued before this one. */
  readonly held: number;
  readonly before: number;
}

export interface Finding {
  readonly waitsFor: (typeof WAITS_FOR)[number];
  readonly words: readonly string[];
  readonly remedy: Remedy | null;
}

const minutes = (ms: number): string => {
  if (ms < 90_000) return `${Math.max(0, Math.round(ms / 1000))} s`;
  return ms < 5_400_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
};

const queued = (run: Run, { hasLease, runner, isInstructed, held, before }: RunFacts): Finding => {
  const { agent, provider, leaseMs } = run.created;
  const ahead =
    before === 0 ? 'No run of this agent waits before it.' : `${before} runs of this agent wait before it.`;
  if (hasLease)
    return {
      waitsFor: 'lease-lingers',
      words: [
        'A runner began to claim it and has not finished: it holds the lease without the claim.',
        `The lease ends by itself within ${minutes(leaseMs)}; then the agent is told again.`,
      ],
      remedy: null,
    };
  if (!isInstructed)
    return {
      waitsFor: 'instruction-lost',
      words: [
        `The instruction to ${agent} is not kept any more, so no runner will take the run by itself.`,
        ...(runner === null ? [`Besides, no runner of ${agent} is heard of.`] : []),
      ],
      remedy: 'remind',
    };
  if (runner === null)
    return {
      waitsFor: 'no-runner',
      words: [`No runner of ${agent} is heard of: start one, and it takes the run.`, ahead],
      remedy: null,
    };
  if (!runner.providers.includes(provider))
    return {
      waitsFor: 'no-provider',
      words: [
        `The runner ${runner.runnerId} has no ${provider} (it has ${runner.providers.join(', ') || 'nothing'}): the run will fail there.`,
        'Install the program there, or cancel the run and give the work to another agent.',
      ],
      remedy: null,
    };
  if (held >= runner.slots)
    return {
      waitsFor: 'runner-busy',
      words: [
        `The runner ${runner.runnerId} does as many turns as it may (${held} of ${runner.slots}).`,
        ahead,
      ],
      remedy: null,
    };
  return {
    waitsFor: 'runner',
    words: [
      `The runner ${runner.runnerId} is alive and has room, and the instruction is there: it should begin within seconds.`,
      ahead,
    ],
    remedy: 'remind',
  };
};

const open = ({ tool, approvalId, expiresAt }: OpenApproval, now: number): string => {
  const what = tool === 'question' ? 'a question' : `for ${tool}`;
  return `It asks ${what} (${approvalId}), for ${minutes(expiresAt - now)} yet: fleetlog approvals show ${approvalId}`;
};

const waiting = (run: Run, { now }: RunFacts): Finding => {
  const overdue = run.open.filter(({ expiresAt }) => expiresAt <= now);
  if (overdue.length > 0)
    return {
      waitsFor: 'answer-overdue',
      words: [
        `The time to answer is over, and nobody has said so yet (${overdue.length} of ${run.open.length}).`,
      ],
      remedy: 'expire-approvals',
    };
  return {
    waitsFor: 'answer',
    words: ['A person has to answer:', ...run.open.map((approval) => open(approval, now))],
    remedy: null,
  };
};

const held = (run: Run, { hasLease, runner }: RunFacts): Finding => {
  const holder = run.runnerId ?? 'a runner';
  if (!hasLease)
    return {
      waitsFor: 'lease-lost',
      words: [
        `Its runner ${holder} has lost its lease, and nobody has said so yet.`,
        `By its rule (${run.created.replay}, ${run.claims - run.parkings} of ${run.created.maxAttempts} attempts) it is then queued again, or ended.`,
      ],
      remedy: 'expire-lease',
    };
  const alive =
    runner?.runnerId === holder ? 'which is alive' : 'which is not heard of; its lease still runs';
  if (run.state === 'cancelling')
    return {
      waitsFor: 'program-end',
      words: [
        `It is to end (${run.cancelReason ?? 'cancelled'}): the runner ${holder}, ${alive}, has to end its program.`,
        `Should the runner be gone, the run ends when its lease is over, within ${minutes(run.created.leaseMs)}.`,
      ],
      remedy: 'cancel-again',
    };
  return {
    waitsFor: 'program',
    words: [
      `Its program works (${run.state}), under the runner ${holder}, ${alive}.`,
      `It is ended after ${minutes(run.created.request.turnTimeoutMs)} at the latest.`,
    ],
    remedy: null,
  };
};

/** What the run waits for. */
export const findingOf = (run: Run, facts: RunFacts): Finding => {
  if (isEnded(run.state))
    return { waitsFor: 'nothing', words: [`It has ended (${run.state}).`], remedy: null };
  if (run.state === 'queued') return queued(run, facts);
  if (isHeld(run) && (!facts.hasLease || run.state !== 'waiting')) return held(run, facts);
  return waiting(run, facts);
};

/** A remedy in words. */
export const REMEDY_WORDS: Readonly<Record<Remedy, string>> = {
  remind: 'tell the agent of it again',
  'expire-lease': 'record that the lease is lost, so that the rule of the run decides',
  'expire-approvals': 'record that the time to answer is over',
  'cancel-again': 'tell the runner again to end it',
};
