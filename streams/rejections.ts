// Every refusal of the system: code, kind (what callers of the replaced systems know it as) and what it means.
// The HTTP status of a kind is chosen only in services/gateway/problem.ts.

/** Kinds of behaviours.md §9. */
export const REJECTION_KINDS = [
  'schema-invalid',
  'not-found',
  'conflict',
  'tenant-policy-denied',
  'runner-lease-conflict',
  'cancelled',
  'infra-failed',
] as const;
export type RejectionKind = (typeof REJECTION_KINDS)[number];

interface RejectionEntry {
  readonly kind: RejectionKind;
  readonly meaning: string;
}

/** The one table of refusals. A test asserts that each is used, documented and mapped. */
export const REJECTIONS = {
  RUN_UNKNOWN: { kind: 'not-found', meaning: 'No run has this id in this tenant and project.' },
  RUN_CONFLICTING_REQUEST: {
    kind: 'conflict',
    meaning: 'The idempotency key was used before with another request; the first one stands.',
  },
  RUN_CLAIMED: { kind: 'runner-lease-conflict', meaning: 'Another runner holds the run under a live lease.' },
  RUN_ENDED: { kind: 'conflict', meaning: 'The run has ended; nothing more can be done in it.' },
  RUN_FENCED: {
    kind: 'runner-lease-conflict',
    meaning: 'The report carries the fence of an earlier claim; it is recorded and changes nothing.',
  },
  RUN_NOT_CLAIMED: { kind: 'runner-lease-conflict', meaning: 'The run is not held by any runner.' },
  RUN_TURN_STARTED: {
    kind: 'conflict',
    meaning: 'The claim has started another turn already; one claim does one turn.',
  },
  RUN_FOREIGN: {
    kind: 'tenant-policy-denied',
    meaning: 'The report comes from an agent that the run was not given to.',
  },
  RUN_CANCELLED: { kind: 'cancelled', meaning: 'The run was cancelled.' },
  RUN_WAITING: {
    kind: 'runner-lease-conflict',
    meaning: 'The run waits for an answer to an approval; it can be claimed when it has one.',
  },
  RUN_INSTRUCTION_OLD: {
    kind: 'runner-lease-conflict',
    meaning: 'The instruction is of an earlier attempt; a later one says how to go on.',
  },
  RUN_NOT_RUNNING: {
    kind: 'conflict',
    meaning: 'No turn of the run is under way, so there is nothing to interrupt.',
  },
  RUN_NOT_ENDED: { kind: 'conflict', meaning: 'The run has not ended, so there is nothing to do once more.' },
  RUN_OF_TASK: {
    kind: 'conflict',
    meaning: 'The run is an attempt of a task: retry the task, which counts its attempts.',
  },
  RUN_COMMAND_UNKNOWN: { kind: 'not-found', meaning: 'The run has no command of this id.' },
  RUN_COMMAND_CONFLICTING: {
    kind: 'conflict',
    meaning: 'The idempotency key was used before with another command of this run; the first one stands.',
  },
  RUN_COMMAND_UNDER_WAY: {
    kind: 'conflict',
    meaning: 'The command is under way: its runner has been told of it, or it is the turn of the run.',
  },
  RUN_COMMAND_NOT_DUE: {
    kind: 'conflict',
    meaning: 'The report is about a command that is a turn; it is recorded and changes nothing.',
  },
  RUN_COMMANDS_FULL: {
    kind: 'conflict',
    meaning:
      'The run has had, or has open, as many commands as a run may have; create another run of its session.',
  },
  APPROVAL_UNKNOWN: { kind: 'not-found', meaning: 'No approval of this run has this id.' },
  APPROVAL_ANSWERED: {
    kind: 'conflict',
    meaning: 'The approval has an answer already; the first one counts, this one is recorded as late.',
  },
  APPROVAL_CLOSED: {
    kind: 'conflict',
    meaning:
      'Nobody asks any more: the time is over, the call was withdrawn, or the run has gone on or ended.',
  },
  APPROVAL_OTHER_CALL: {
    kind: 'conflict',
    meaning: 'The digest given is not that of the call that waits: look at it again.',
  },
  APPROVAL_IDENTITY_NEEDED: {
    kind: 'tenant-policy-denied',
    meaning: 'The call counts only approvals of those who answer by a token of their own.',
  },
  APPROVAL_OWN_WORK: {
    kind: 'tenant-policy-denied',
    meaning: 'Whoever asked for the work, or does it, cannot allow its calls.',
  },
  APPROVAL_ROLE_MISSING: {
    kind: 'tenant-policy-denied',
    meaning: 'Whoever answers lacks a role that the call needs.',
  },
  APPROVAL_COUNTED: {
    kind: 'conflict',
    meaning: 'Whoever answers has approved the call already; others are needed.',
  },
  APPROVAL_NOT_EDITABLE: {
    kind: 'conflict',
    meaning: 'Several people must allow the same call, so nobody can change it.',
  },
  APPROVAL_TOO_MANY: { kind: 'conflict', meaning: 'Too many questions are open in this run.' },
  TASK_UNKNOWN: { kind: 'not-found', meaning: 'No task has this id in this tenant and project.' },
  TASK_CONFLICTING_REQUEST: {
    kind: 'conflict',
    meaning: 'The idempotency key was used before with another task; the first one stands.',
  },
  TASK_NOT_PENDING: { kind: 'conflict', meaning: 'The task does not wait to be handed over.' },
  TASK_FOREIGN: { kind: 'conflict', meaning: 'The task is for another agent only.' },
  TASK_ATTEMPT_UNKNOWN: { kind: 'conflict', meaning: 'The task has no such attempt.' },
  TASK_ENDED: { kind: 'conflict', meaning: 'The task has ended; nothing more can be done in it.' },
  TASK_CANCELLED: { kind: 'cancelled', meaning: 'The task was cancelled.' },
  TASK_COMPLETED: { kind: 'conflict', meaning: 'The task is done; what is done is not done again.' },
  TASK_NOT_ENDED: { kind: 'conflict', meaning: 'The task has not ended, so there is nothing to retry.' },
  ADMISSION_SUPERSEDED: {
    kind: 'conflict',
    meaning: 'Another grant was made meanwhile; decide anew with it in view.',
  },
  CONTRACT_TOO_OLD: {
    kind: 'conflict',
    meaning:
      'The runner or host speaks a contract that is not understood any more: install a newer version there.',
  },
  KEY_CONFLICTING_REQUEST: {
    kind: 'conflict',
    meaning: 'Another request was made under this idempotency key; the first one stands.',
  },
  POLICY_UNKNOWN: { kind: 'not-found', meaning: 'No policy has this name in this tenant and project.' },
  POLICY_VERSION_CONFLICT: {
    kind: 'conflict',
    meaning: 'The policy was changed by somebody else meanwhile; look at it and apply again.',
  },
  POLICY_VERSION_UNKNOWN: { kind: 'not-found', meaning: 'The policy has no such version, or not any more.' },
  POLICY_REMOVED: { kind: 'conflict', meaning: 'The policy was removed; applying it brings it back.' },
  POLICY_PAUSED: { kind: 'conflict', meaning: 'The policy is set aside; nothing starts its agent.' },
  POLICY_FAILED: {
    kind: 'conflict',
    meaning: 'The agent crashed too often; a person looks at it and resets the policy.',
  },
  POLICY_INVALID: {
    kind: 'schema-invalid',
    meaning: 'The configuration cannot be done; the message says why.',
  },
  POLICY_AGENT_TAKEN: { kind: 'conflict', meaning: 'Another policy has an agent of this name.' },
  HOST_UNKNOWN: {
    kind: 'not-found',
    meaning: 'No host of this name has registered in this tenant and project.',
  },
  HOST_RETIRED: { kind: 'conflict', meaning: 'The host was given up for good; its name is not used again.' },
  HOST_ONLINE: {
    kind: 'conflict',
    meaning: 'The process of the host is there; only a host that is offline is retired.',
  },
  HOST_ELSEWHERE: {
    kind: 'conflict',
    meaning: 'Another host of this name is alive; each needs a name of its own.',
  },
  AGENT_NAME_TAKEN: {
    kind: 'conflict',
    meaning: 'A host has this name; agents and hosts need names of their own.',
  },
  AGENT_UNKNOWN: { kind: 'not-found', meaning: 'No runner is set up for this agent.' },
  RECIPIENT_UNKNOWN: {
    kind: 'not-found',
    meaning: 'No agent or person of this name can be written to; `near` has names that may have been meant.',
  },
  SENDER_UNKNOWN: {
    kind: 'not-found',
    meaning: 'No agent or person has the name of the writer, so nobody could answer the message.',
  },
  MESSAGE_UNKNOWN: { kind: 'not-found', meaning: 'No message of this id was sent to whoever answers it.' },
  MESSAGE_FOREIGN: {
    kind: 'tenant-policy-denied',
    meaning: 'The message was sent to somebody else; only its recipient answers it.',
  },
  MESSAGE_CONFLICTING_REQUEST: {
    kind: 'conflict',
    meaning: 'Another message has this id already; the first one stands.',
  },
  SESSION_FOREIGN: {
    kind: 'tenant-policy-denied',
    meaning: 'The session is a conversation of another agent.',
  },
  SESSION_OTHER_PROVIDER: {
    kind: 'schema-invalid',
    meaning: 'The session is a conversation with another kind of program.',
  },
  SESSION_STORAGE_CHANGED: {
    kind: 'conflict',
    meaning: 'The storage named is not the session’s current one; look at it again.',
  },
  SESSION_ACTIVE: {
    kind: 'conflict',
    meaning: 'A run of the session has not ended: its storage is in use and stays.',
  },
  SESSION_NOT_EXPIRED: { kind: 'conflict', meaning: 'The time of the session is not over.' },
  SESSION_UNKNOWN: { kind: 'not-found', meaning: 'No session has this id in this tenant and project.' },
  BOUNDARY_DENIED: {
    kind: 'tenant-policy-denied',
    meaning: 'The thing belongs to another tenant or project than the one asked for.',
  },
} as const satisfies Record<string, RejectionEntry>;

export type RejectionCode = keyof typeof REJECTIONS;
