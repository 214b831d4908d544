// What a turn's program, its hooks and its gate do besides printing, as reports of the turn: put on this machine's disk, never
// waiting for the network. A disk that takes nothing makes nobody wait either: the report follows when it can.
import type { Clock } from '#libs/ports/clock.ts';
import type { ReportWriter, TurnReportName, WriteOptions } from '#services/runner/report-writer.ts';
import type { ReportData } from '#streams/reports.ts';
import type { ControlTurn } from './control-parts.ts';

/** How long a caller waits for its report to be on disk, ms. */
const ON_DISK_WITHIN_MS = 500;

type Payload<Name extends TurnReportName> = Omit<ReportData<Name>, 'runId' | 'sessionId' | 'turnId'>;

/** Whether the report was on disk when the answer was given; it gets there in any case. */
export interface Mirrored {
  readonly stored: boolean;
}

export interface TurnMirror {
  /** Reports once a turn and key (`id`), or each time. Never rejects. */
  report<Name extends TurnReportName>(
    turn: ControlTurn,
    name: Name,
    payload: Payload<Name>,
    id?: string,
  ): Promise<Mirrored>;
}

export interface MirrorParts {
  readonly writer: Pick<ReportWriter, 'write'>;
  readonly clock: Clock;
  /** A report cannot be kept any more. */
  readonly onLost: (name: TurnReportName, error: unknown) => void;
}

export const createTurnMirror = ({ writer, clock, onLost }: MirrorParts): TurnMirror => ({
  report: async (turn, name, payload, id) => {
    // A turn that is over, or somebody else's, is told of no more.
    if (turn.signal.aborted) return { stored: false };
    const { runId, sessionId, turnId, commandId, fence } = turn;
    const options: WriteOptions = id === undefined ? {} : { id: `${turnId}.${id}` };
    const stored = writer.write({ runId, sessionId, turnId, commandId, fence }, name, payload, options).then(
      () => true,
      (error: unknown) => {
        onLost(name, error);
        return false;
      },
    );
    const waited = Promise.withResolvers<false>();
    const cancel = clock.timer(ON_DISK_WITHIN_MS, () => waited.resolve(false), { keepAlive: true });
    const isStored = await Promise.race([stored, waited.promise]);
    cancel();
    return { stored: isStored };
  },
});
