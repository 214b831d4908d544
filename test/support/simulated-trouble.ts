// What goes wrong in a simulated fleet besides what its broker does by its plan: processes that are stopped, killed at any time or in any of their
// calls, a broker that goes away or forgets, clocks that jump. Everything that happens counts together with what it happened to.
import type { FaultRates } from '#libs/memory/faults.ts';
import type { FleetWatch } from './fleet-watch.ts';
import { below, isLucky, oneOf, pause, type Instance, type World } from './simulated-world.ts';

/** What trouble is made of. */
export interface Troubled {
  readonly world: World;
  readonly watch: FleetWatch;
  /** Changed when one is started anew. */
  readonly instances: Instance[];
  readonly launch: (instance: Instance) => Instance;
}

/** Counts what happens with how everything stood. */
export const noteTrouble = ({ world, watch }: Pick<Troubled, 'world' | 'watch'>, what: string): void => {
  world.tell(what);
  for (const state of new Set(watch.states())) world.reach.note('trouble', `${what} × ${state}`);
};

const startAgain = async ({ world, instances, launch }: Troubled, at: number): Promise<void> => {
  await pause(world, isLucky(world, 0.5) ? 500 : 4000);
  const instance = instances[at];
  if (instance === undefined) return;
  // It may have died in its first calls, or not at all by now.
  instance.kill();
  instances[at] = launch(instance);
  world.tell(`${instance.service.name} (${at}) is started`);
};

/** One thing that goes wrong. */
type Trouble = (troubled: Troubled) => Promise<void>;

const dieInCall: Trouble = async (troubled) => {
  const { world, instances } = troubled;
  const at = below(world, instances.length);
  instances[at]?.dieSoon(1 + below(world, 30), isLucky(world, 0.5) ? 'before' : 'after');
  noteTrouble(troubled, `${instances[at]?.service.name} dies soon`);
  await pause(world, 3000);
  await startAgain(troubled, at);
};

const kill: Trouble = async (troubled) => {
  const at = below(troubled.world, troubled.instances.length);
  noteTrouble(troubled, `${troubled.instances[at]?.service.name} is killed`);
  troubled.instances[at]?.kill();
  await startAgain(troubled, at);
};

const stop: Trouble = async (troubled) => {
  const at = below(troubled.world, troubled.instances.length);
  noteTrouble(troubled, `${troubled.instances[at]?.service.name} is stopped`);
  await troubled.instances[at]?.stop();
  await startAgain(troubled, at);
};

const goAway: Trouble = async (troubled) => {
  const { world } = troubled;
  noteTrouble(troubled, 'the broker goes away');
  world.broker.faults.goAway();
  await pause(world, 1500);
  world.broker.faults.comeBack();
  world.tell('the broker is back');
};

const forget: Trouble = async (troubled) => {
  const { world } = troubled;
  noteTrouble(troubled, 'the broker forgets acknowledgements');
  world.broker.faults.crash(below(world, 50));
};

const jump: Trouble = async (troubled) => {
  const { world } = troubled;
  const jumpMs = below(world, 120_000) - 60_000;
  noteTrouble(troubled, `the wall clock jumps ${jumpMs < 0 ? 'back' : 'forward'}`);
  world.clock.jumpWall(jumpMs);
};

const TROUBLES: readonly Trouble[] = [dieInCall, dieInCall, dieInCall, kill, stop, goAway, forget, jump];

/** Makes so much trouble, now and then. */
export const makeTrouble = async (troubled: Troubled, rounds: number): Promise<void> => {
  for (let round = 0; round < rounds; round += 1) {
    await pause(troubled.world, 3000);
    await oneOf(troubled.world, TROUBLES)(troubled);
  }
};

/** What the broker does wrong in one life: some kinds of it, each as often as a life can take. */
export const ratesOf = (world: World): FaultRates => {
  const some = <T>(value: T): T | undefined => (isLucky(world, 0.6) ? value : undefined);
  const rates = {
    dropAppend: some(0.03),
    loseAppendAck: some(0.05),
    dropWrite: some(0.03),
    loseWriteAck: some(0.04),
    failRead: some(0.01),
    loseDeliveryAck: some(0.04),
    forgetDeliveryAck: some(0.03),
    dropRequest: some(0.03),
    repeatRequest: some(0.05),
    loseAnswer: some(0.05),
    // What comes late on one subject is overtaken by what comes on others.
    maxAppendAckDelayMs: some(100),
    maxReplayDelayMs: some(oneOf(world, [400, 3000])),
    maxReadDelayMs: some(oneOf(world, [200, 2000])),
    maxWatchDelayMs: some(400),
    maxDeliveryDelayMs: some(400),
    maxRequestDelayMs: some(200),
    delayed: oneOf(world, [0.1, 0.3]),
  };
  return Object.fromEntries(Object.entries(rates).filter(([, rate]) => rate !== undefined));
};
