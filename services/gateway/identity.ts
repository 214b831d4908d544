// Who a request is from: a name for the record, what kind of asker it is, and its roles. Pure. Which token is whose is in access.ts.
import { ON_BEHALF, READS_ONLY, type IdentityKind } from '#streams/tokens.ts';

export interface Identity {
  readonly name: string;
  readonly kind: IdentityKind;
  readonly roles: readonly string[];
  /** False for tokens that anybody may hold. */
  readonly isNamed: boolean;
}

/** Whoever holds the one API token, or sits at this machine where none is asked for. */
export const SHARED: Identity = { name: 'api', kind: 'service', roles: [ON_BEHALF], isNamed: false };

/** Whoever holds the viewer token. */
export const VIEWER: Identity = { name: 'viewer', kind: 'person', roles: [READS_ONLY], isNamed: false };

export const mayNameOthers = ({ roles }: Identity): boolean => roles.includes(ON_BEHALF);
export const mayOnlyRead = ({ roles }: Identity): boolean => roles.includes(READS_ONLY);
