// Forms that a released event took later, each under a name of its own: the event type's own golden entry is of its first form and stays so.
import { encodeAdmissionEvent } from '#streams/admission.ts';
import type { EntryParts } from '#streams/entry.ts';
import { EXAMPLE, EXAMPLE_AT } from '#streams/generate-examples.ts';
import { POLICY_EXAMPLES } from '#streams/generate-policy-examples.ts';
import { ADMISSION_EXAMPLE } from '#streams/generate-task-examples.ts';
import { encodePolicyEvent } from '#streams/policy-codec.ts';

/** File name → entry. */
export const LATER_FORMS: Readonly<Record<string, EntryParts>> = {
  // A grant of one task is appended before the task's own transition, and says where the task stands.
  'admission.granted.v1.single.json': encodeAdmissionEvent(
    {
      ...ADMISSION_EXAMPLE,
      grants: ADMISSION_EXAMPLE.grants.slice(0, 1).map((one) => ({ ...one, taskSeq: 41 })),
    },
    {
      boundary: EXAMPLE.boundary,
      id: 'fleet:2',
      source: '/service/tasks',
      timeMs: EXAMPLE_AT,
      actor: 'service:dispatch',
    },
  ),
  // A host that was stopped had ended the agent itself.
  'policy.stopped.v1.host.json': encodePolicyEvent(
    { ...POLICY_EXAMPLES['fleetlog.policy.stopped.v1'], how: 'host-stopped', exitCode: 0 },
    {
      boundary: EXAMPLE.boundary,
      id: 'local=main=builders.report41',
      source: '/service/lifecycle',
      timeMs: EXAMPLE_AT,
      actor: 'service:lifecycle',
    },
  ),
};
