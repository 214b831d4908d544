// The version of this contract as processes tell it to one another: a runner or host that is too old is refused clearly, one that is
// merely older or newer is shown as such. Raised when a reader of an older version would do the wrong thing with what is new.

/** What this version speaks. 1: runners that say nothing of it. */
export const CONTRACT_VERSION = 2;
/** The oldest that the control plane still works with. */
export const OLDEST_CONTRACT = 1;

/** The contract of a process that says `contract`; one that says nothing is from before there was a number. */
export const contractOf = ({ contract }: { readonly contract?: number | undefined }): number => contract ?? 1;
