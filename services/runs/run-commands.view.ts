// The commands of a run as shown: what each transition makes of them, as part of the fold in run.view.ts. Pure.
import type { RunView, ShownCommand } from '#streams/buckets.ts';
import type { RunCreated, RunEvent } from '#streams/run.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;
type Shown = Pick<RunView, 'commands' | 'turnCommandId'>;
type Closed = EventOf<'fleetlog.run.turn-finished.v1'>['commandsClosed'];
type End = 'completed' | 'failed' | 'cancelled';

/** Characters of a text that are shown. */
const SHOWN_CHARACTERS = 200;

const isOpen = ({ state }: ShownCommand): boolean => state === 'pending' || state === 'acknowledged';

/** The first turn, which is there with the run. */
export const firstCommand = ({ commandId, createdAt }: RunCreated): ShownCommand => ({
  commandId,
  seq: 1,
  type: 'turn',
  state: 'pending',
  text: null,
  code: null,
  createdAt,
  acknowledgedAt: null,
  endedAt: null,
});

const changed = ({ commands }: Shown, commandId: string, change: Partial<ShownCommand>): ShownCommand[] =>
  commands.map((command) => (command.commandId === commandId ? { ...command, ...change } : command));

/** The turn has ended as `turn`; what else has ended is named. */
export const turnEnded = (
  { commands, turnCommandId }: Shown,
  turn: End,
  { endedAt, closed = [] }: { readonly endedAt: number; readonly closed?: Closed | undefined },
): ShownCommand[] =>
  commands.map((command) => {
    if (!isOpen(command)) return command;
    const state =
      command.commandId === turnCommandId
        ? turn
        : closed.find(({ commandId }) => commandId === command.commandId)?.state;
    return state === undefined ? command : { ...command, state, endedAt };
  });

/** The turn has ended as `turn`, and another command is the turn that waits for a runner. */
export const turnFollowed = (
  view: Shown,
  turn: End,
  { turnCommandId, ...ending }: Parameters<typeof turnEnded>[2] & { readonly turnCommandId: string },
): ShownCommand[] =>
  changed({ ...view, commands: turnEnded(view, turn, ending) }, turnCommandId, { state: 'pending' });

/** The run has ended: whatever the event did not name is cancelled. */
export const runEnded = (
  view: Shown,
  turn: End,
  ending: { readonly endedAt: number; readonly closed?: Closed | undefined },
): ShownCommand[] =>
  turnEnded(view, turn, ending).map((command) =>
    isOpen(command) ? { ...command, state: 'cancelled', endedAt: ending.endedAt } : command,
  );

/** A runner has taken the turn. */
export const turnClaimed = (view: Shown, acknowledgedAt: number): ShownCommand[] =>
  view.commands.map((command) =>
    command.commandId === view.turnCommandId
      ? { ...command, state: 'acknowledged', acknowledgedAt: command.acknowledgedAt ?? acknowledgedAt }
      : command,
  );

/** The claim was lost and the same turn waits again, with all that its program had been told. */
export const turnLost = ({ commands, turnCommandId }: Shown): ShownCommand[] =>
  commands.map((command) => {
    const waits = command.type !== 'interrupt' || command.commandId === turnCommandId;
    return isOpen(command) && waits ? { ...command, state: 'pending' } : command;
  });

/** The program is gone with a question: there is nothing to interrupt any more. */
export const turnParked = ({ commands, turnCommandId }: Shown, endedAt: number): ShownCommand[] =>
  commands.map((command) =>
    isOpen(command) &&
    command.type === 'interrupt' &&
    command.text === null &&
    command.commandId !== turnCommandId
      ? { ...command, state: 'failed', endedAt }
      : command,
  );

export const commandCreated = (
  { commands }: Shown,
  event: EventOf<'fleetlog.run.command-created.v1'>,
): ShownCommand[] => {
  const { commandId, commandSeq: seq, commandType: type, text: said, createdAt } = event;
  const text = said === null ? null : said.slice(0, SHOWN_CHARACTERS);
  const nothingYet = { state: 'pending', code: null, acknowledgedAt: null, endedAt: null } as const;
  return [...commands, { commandId, seq, type, text, ...nothingYet, createdAt }];
};

export const commandAcknowledged = (
  view: Shown,
  { commandId, acknowledgedAt }: EventOf<'fleetlog.run.command-acknowledged.v1'>,
): ShownCommand[] => changed(view, commandId, { state: 'acknowledged', acknowledgedAt });

export const commandFinished = (
  view: Shown,
  { commandId, state, code: said, finishedAt }: EventOf<'fleetlog.run.command-finished.v1'>,
): ShownCommand[] => {
  const code = said ?? null;
  const change =
    state === 'deferred' ? ({ state: 'pending', code } as const) : { state, code, endedAt: finishedAt };
  return changed(view, commandId, change);
};

export const commandCancelled = (
  view: Shown,
  { commandId, cancelledAt }: EventOf<'fleetlog.run.command-cancelled.v1'>,
): ShownCommand[] => changed(view, commandId, { state: 'cancelled', endedAt: cancelledAt });
