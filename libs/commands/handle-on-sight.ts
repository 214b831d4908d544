// A command that carries what was looked up elsewhere (a presence, a summary, a lease) is decided by what was looked up for the very record
// that it is decided against: when another writer was faster, it is looked again. Otherwise a fact that is older than the record would be
// judged as news of it. Does not make looks atomic: what was looked up may have changed by the time of the append.
import { Fault } from '#libs/kernel/fault.ts';
import type { CommandHandler, CommandOptions, CommandOutcome, Known } from './command-handler.ts';

/** Looks before other writers have won. */
const MOST_LOOKS = 8;

interface Sight<Target, Command, State> {
  readonly target: Target;
  /** Of every look the same command, so the same id. */
  readonly options: CommandOptions;
  /** Looks up what the command needs; undefined: nothing is asked of an aggregate that stands so. Called after the record was read, never before. */
  readonly look: (state: State) => Promise<Command | undefined>;
  /** The first look may be for the record as it is remembered: for commands that are always asked for, whose answer proves it. Default false. */
  readonly mayBeOld?: boolean;
}

/** The outcome; undefined: nothing was asked for. Faults: those of `handle` and of the look; `COMMAND_CONTENDED` (now). */
export const handleOnSight = async <Target, Command, Event, State, Code extends string>(
  handler: CommandHandler<Target, Command, Event, State, Code>,
  { target, options, look, mayBeOld = false }: Sight<Target, Command, State>,
): Promise<CommandOutcome<Event, State, Code> | undefined> => {
  let known: Known<State> =
    (mayBeOld ? handler.remembered(target) : undefined) ?? (await handler.load(target));
  for (let looks = 1; looks <= MOST_LOOKS; looks += 1) {
    const command = await look(known.state);
    if (command === undefined) return undefined;
    const outcome = await handler.handleAt(known.seq, target, command, options);
    if (outcome.kind !== 'moved') return outcome;
    known = outcome;
  }
  throw new Fault({
    code: 'COMMAND_CONTENDED',
    retry: 'now',
    message: `the record went on between each of ${MOST_LOOKS} looks and their decisions`,
    detail: { commandId: options.id },
  });
};
