// Who a request is from: a name for the record, what kind of asker it is, and its roles. Pure. Which token is whose is in access.ts.

/** Reads everything of its tenant and project and changes nothing. */
const READS_ONLY = 'reads-only';
/** May name others as whoever writes or answers: for services that pass on what people said to them. */
const ON_BEHALF = 'on-behalf';

export interface Identity {
  readonly name: string;
  readonly kind: 'person' | 'agent' | 'service';
  /** `reads-only` and `on-behalf` mean something to the API; approvals ask for roles of any name. */
  readonly roles: readonly string[];
  /** False for tokens that anybody may hold. */
  readonly isNamed: boolean;
}

/** Whoever holds the one API token, or sits at this machine where none is asked for. */
export const SHARED: Identity = { name: 'api', kind: 'service', roles: [ON_BEHALF], isNamed: false };

/** Whoever holds the viewer token. */
export const VIEWER: Identity = { name: 'viewer', kind: 'person', roles: [READS_ONLY], isNamed: false };

export const mayNameOthers = ({ roles }: Identity): boolean => roles.includes(ON_BEHALF);
