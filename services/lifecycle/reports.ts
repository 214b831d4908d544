// What hosts and runners report, told to the policies that it concerns: a start that was refused, a process that has ended, and a turn
// that has begun or ended where its policy watches over it, has limits, or waits to be started anew. At least once in, exactly once out: ids follow from the report.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { PolicyCommand } from '#streams/policy-commands.ts';
import { decodeReport, type Report } from '#streams/report-codec.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Directory } from './directory.ts';
import type { HostBoard } from './host-board.ts';
import type { Keeper } from './keeper.ts';
import { ACTOR, policyKey, type PolicyLog } from './policy-log.ts';

type TurnReport = 'turn-started' | 'turn-finished';
type Told = Extract<Report, { readonly name: 'spawn-refused' | 'agent-exited' | TurnReport }>;

/** A report that may concern a policy. */
export interface PolicyReport {
  readonly boundary: Boundary;
  /** The agent or host whose report it is. */
  readonly from: string;
  readonly report: Told;
  readonly seq: number;
  readonly causation: string;
}

const isTurn = (report: Report): report is Extract<Report, { readonly name: TurnReport }> =>
  report.name === 'turn-started' || report.name === 'turn-finished';

const isTold = (report: Report): report is Told =>
  report.name === 'spawn-refused' || report.name === 'agent-exited' || isTurn(report);

/** The report of an entry; undefined for one that concerns no policy. Throws `REPORT_UNREADABLE` (never). */
export const decodePolicyReport = (entry: StoredEntry): PolicyReport | undefined => {
  const reading = decodeReport(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'REPORT_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown') return undefined;
  if (!isTold(reading)) return undefined;
  const { place, envelope } = reading;
  const boundary = { tenant: place.tenant, project: place.project };
  return { boundary, from: place.id, report: reading, seq: entry.seq, causation: envelope.id };
};

/** What orders them: those of one policy, or agent, one after another. */
export const laneOf = ({ report, from }: PolicyReport): string =>
  isTurn(report) ? `agent ${from}` : `policy ${report.data.policy}`;

interface Parts {
  readonly policyLog: PolicyLog;
  readonly keeper: Keeper;
  readonly directory: Directory;
  readonly hosts: Pick<HostBoard, 'leaving'>;
  readonly ids: Ids;
}

const commandOf = (report: Exclude<Told, { readonly name: TurnReport }>, chance: number): PolicyCommand => {
  if (report.name === 'spawn-refused') {
    const { spawnId, code, message } = report.data;
    return { kind: 'refused', spawnId, code, message, chance };
  }
  const { spawnId, exitCode, signal, lastWords, endedFor } = report.data;
  return {
    kind: 'exited',
    spawnId,
    exitCode,
    signal,
    lastWords,
    chance,
    ...(endedFor !== undefined && { endedFor }),
  };
};

export const handlePolicyReport =
  ({ policyLog, keeper, directory, hosts, ids }: Parts) =>
  async ({ boundary, from, report, seq, causation }: PolicyReport): Promise<Handled> => {
    const cause = `report${seq}`;
    if (isTurn(report)) {
      for (const policy of directory.caringFor(boundary, from, report.name))
        await keeper.consider({ boundary, policy }, { cause, causation });
      return ok;
    }
    const { policy, host } = report.data;
    // A host speaks of itself only.
    if (host !== from) return ok;
    // Before it is looked where the agent may run next.
    if (report.name === 'agent-exited' && report.data.endedFor === 'host-stopped')
      hosts.leaving(boundary, host, report.data.exitedAt);
    const place = { boundary, policy };
    const target = { ...place, actor: ACTOR, causation };
    return policyLog.handle(target, commandOf(report, ids.random()), { id: `${policyKey(place)}.${cause}` });
  };
