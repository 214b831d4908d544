// The only place that builds or parses a subject: fleet.<tenant>.<project>.<family>.<p>.<id>[.<type>].
// An aggregate has ONE literal subject; its event type is in the header ce-type. Bad tokens are refused, never escaped.
import { Fault } from '#libs/kernel/fault.ts';

/** The two boundary tokens of every subject. */
export interface Boundary {
  readonly tenant: string;
  readonly project: string;
}

/** Number of partitions; fixed when the streams are created, because it decides the subject of every id. */
export const PARTITIONS = 16;

/** Families whose subjects end with the id: aggregates, appended at the expected sequence of that subject. */
export const AGGREGATE_FAMILIES = [
  'run',
  'session',
  'task',
  'policy',
  'host',
  'agent',
  'config',
  'admission',
] as const;
export type AggregateFamily = (typeof AGGREGATE_FAMILIES)[number];

/** Families whose subjects end with a type: `evt` reports, `cmd` instructions, `msg` mail, `dead` dead letters. */
export const TYPED_FAMILIES = ['evt', 'cmd', 'msg', 'dead'] as const;
export type TypedFamily = (typeof TYPED_FAMILIES)[number];

const TOKEN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

const token = (name: string, value: string): string => {
  if (TOKEN.test(value)) return value;
  throw new Fault({
    code: 'SUBJECT_INVALID',
    retry: 'never',
    message: `${name} ${JSON.stringify(value.slice(0, 120))} cannot be a subject token: expected 1 to 100 of A-Z a-z 0-9 _ -`,
    detail: { token: name },
  });
};

/** FNV-1a (32 bit) of the id's bytes, modulo {@link PARTITIONS}: what nats-server's {{partition(n,1)}} computes for one token. */
export const partitionOf = (id: string): number => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return hash % PARTITIONS;
};

const prefix = (boundary: Boundary, family: string): string =>
  `fleet.${token('tenant', boundary.tenant)}.${token('project', boundary.project)}.${family}`;

/** The one literal subject of an aggregate. Throws `SUBJECT_INVALID`. */
export const aggregateSubject = (boundary: Boundary, family: AggregateFamily, id: string): string =>
  `${prefix(boundary, family)}.${partitionOf(id)}.${token('id', id)}`;

/** The subject of something typed: `id` is the agent (`evt`), the target (`cmd`), the recipient (`msg`) or the service (`dead`). Throws `SUBJECT_INVALID`. */
export const typedSubject = (boundary: Boundary, family: TypedFamily, id: string, type: string): string =>
  `${prefix(boundary, family)}.${partitionOf(id)}.${token('id', id)}.${token('type', type)}`;

/** The subject of a timer: `set` holds the schedule, `fire` is where it rings. Throws `SUBJECT_INVALID`. */
export const timerSubject = (
  boundary: Boundary,
  phase: 'set' | 'fire',
  timer: { readonly owner: string; readonly id: string },
): string => `${prefix(boundary, 'timer')}.${phase}.${token('owner', timer.owner)}.${token('id', timer.id)}`;

/** The mailbox of a policy: its id is in no name of an agent or a person, for it has a capital letter. */
export const policyMailbox = (policy: string): string => `POLICY-${policy}`;

/** Where the timers of one owner ring, in every tenant and project. */
export const timerFilter = (owner: string): string => `fleet.*.*.timer.fire.${token('owner', owner)}.*`;

/** Parts of a filter; what is left out matches anything. */
export interface SubjectFilter {
  readonly tenant?: string;
  readonly project?: string;
  readonly id?: string;
  readonly type?: string;
}

/** A filter over an aggregate family; with an id it has no partition wildcard, so it is as cheap as the literal subject. */
export const aggregateFilter = (family: AggregateFamily, filter: SubjectFilter = {}): string =>
  `${filterPrefix(family, filter)}.${filter.id === undefined ? '*.*' : `${partitionOf(filter.id)}.${token('id', filter.id)}`}`;

/** A filter over a typed family. */
export const typedFilter = (family: TypedFamily, filter: SubjectFilter = {}): string => {
  const id = filter.id === undefined ? '*.*' : `${partitionOf(filter.id)}.${token('id', filter.id)}`;
  return `${filterPrefix(family, filter)}.${id}.${filter.type === undefined ? '*' : token('type', filter.type)}`;
};

const filterPrefix = (family: string, filter: SubjectFilter): string =>
  `fleet.${filter.tenant === undefined ? '*' : token('tenant', filter.tenant)}.${
    filter.project === undefined ? '*' : token('project', filter.project)
  }.${family}`;

/** Where one service answers requests of the control plane: outside every stream, so nothing of it is stored. */
export const requestSubject = (boundary: Boundary, service: string, operation: string): string =>
  `fleet-api.${token('tenant', boundary.tenant)}.${token('project', boundary.project)}.${token('service', service)}.${token('operation', operation)}`;

/** Who asks when a runner asks: the broker lets it publish below its own agent's token only. */
export interface AgentPlace extends Boundary {
  readonly agent: string;
}

/** Where a service answers what the runner of one agent asks. */
export const agentRequestSubject = (place: AgentPlace, service: string, operation: string): string =>
  `${requestSubject(place, service, operation)}.${token('agent', place.agent)}`;

/** What an instance of a service serves: one operation, for every tenant and project. */
export const requestFilter = (service: string, operation: string): string =>
  `fleet-api.*.*.${token('service', service)}.${token('operation', operation)}`;

/** The same for an operation that runners ask for. */
export const agentRequestFilter = (service: string, operation: string): string =>
  `${requestFilter(service, operation)}.*`;

/** `agent` is there exactly when a runner asks. */
interface ParsedRequestSubject extends Boundary {
  readonly service: string;
  readonly operation: string;
  readonly agent?: string;
}

/** Whose request it is, or undefined when the subject is not one of {@link requestSubject} or {@link agentRequestSubject}. */
export const parseRequestSubject = (subject: string): ParsedRequestSubject | undefined => {
  const parts = subject.split('.');
  const [root, tenant, project, service, operation, agent] = parts;
  if (root !== 'fleet-api' || parts.length > 6 || !parts.every((part) => TOKEN.test(part))) return undefined;
  if (tenant === undefined || project === undefined || service === undefined || operation === undefined)
    return undefined;
  return { tenant, project, service, operation, ...(agent !== undefined && { agent }) };
};

/** Where a request of the control plane comes from; undefined for any other subject, that of a runner included. */
export const controlPlaneOf = (subject: string): Boundary | undefined => {
  const parsedRequest = parseRequestSubject(subject);
  if (parsedRequest === undefined || parsedRequest.agent !== undefined) return undefined;
  return { tenant: parsedRequest.tenant, project: parsedRequest.project };
};

/** Whose runner asks; undefined for any other subject, that of the control plane included. */
export const askingAgentOf = (subject: string): AgentPlace | undefined => {
  const parsedRequest = parseRequestSubject(subject);
  if (parsedRequest?.agent === undefined) return undefined;
  const { tenant, project, agent } = parsedRequest;
  return { tenant, project, agent };
};

export type ParsedSubject = Boundary &
  (
    | {
        readonly kind: 'aggregate';
        readonly family: AggregateFamily;
        readonly partition: number;
        readonly id: string;
      }
    | {
        readonly kind: 'typed';
        readonly family: TypedFamily;
        readonly partition: number;
        readonly id: string;
        readonly type: string;
      }
    | { readonly kind: 'timer'; readonly phase: 'set' | 'fire'; readonly owner: string; readonly id: string }
  );

const isOneOf = <T extends string>(list: readonly T[], value: string): value is T =>
  (list as readonly string[]).includes(value);

interface RawParts extends Boundary {
  readonly family: string;
  readonly fifth: string;
  readonly sixth: string;
  readonly seventh: string | undefined;
}

/** The tokens of a subject of ours by place, or undefined when its shape or a token is wrong. */
const splitSubject = (subject: string): RawParts | undefined => {
  const parts = subject.split('.');
  const [root, tenant, project, family, fifth, sixth, seventh] = parts;
  if (root !== 'fleet' || parts.length > 7 || !parts.every((part) => TOKEN.test(part))) return undefined;
  if (tenant === undefined || project === undefined || family === undefined) return undefined;
  if (fifth === undefined || sixth === undefined) return undefined;
  return { tenant, project, family, fifth, sixth, seventh };
};

const parseTimer = ({ tenant, project, fifth, sixth, seventh }: RawParts): ParsedSubject | undefined =>
  (fifth === 'set' || fifth === 'fire') && seventh !== undefined
    ? { kind: 'timer', tenant, project, phase: fifth, owner: sixth, id: seventh }
    : undefined;

const parsePartitioned = ({ tenant, project, family, ...rest }: RawParts): ParsedSubject | undefined => {
  const { fifth, sixth: id, seventh: type } = rest;
  const partition = partitionOf(id);
  if (fifth !== String(partition)) return undefined;
  if (isOneOf(AGGREGATE_FAMILIES, family) && type === undefined)
    return { kind: 'aggregate', tenant, project, family, partition, id };
  if (isOneOf(TYPED_FAMILIES, family) && type !== undefined)
    return { kind: 'typed', tenant, project, family, partition, id, type };
  return undefined;
};

const parse = (subject: string): ParsedSubject | undefined => {
  const parts = splitSubject(subject);
  if (parts === undefined) return undefined;
  return parts.family === 'timer' ? parseTimer(parts) : parsePartitioned(parts);
};

/** Subjects parsed lately: a reader of a stream sees the same few again and again. Emptied when full. */
const parsed = new Map<string, ParsedSubject>();
const MAX_PARSED = 4096;

/** The parts of a subject, or undefined when it is not one of ours (wrong shape, bad token, wrong partition for its id). */
export const parseSubject = (subject: string): ParsedSubject | undefined => {
  const known = parsed.get(subject);
  if (known !== undefined) return known;
  const found = parse(subject);
  if (found === undefined) return undefined;
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(subject, Object.freeze(found));
  return found;
};
