// The admission of a tenant and project on the wire: one subject on which every hand-over of tasks to agents is appended. Its expected
// sequence is the fence between dispatchers: who has not seen the last grant cannot make the next one, so no two can give the same
// capacity away. A grant of several tasks stands behind their own events, in one atomic batch with them. A grant of one task, which says
// where that stood (`taskSeq`), comes first and is carried out by the task's own event; the next grant is not made before that.
import { z } from 'zod';
import { aggregateCodec } from './aggregate-codec.ts';
import { nameSchema, runIdSchema, taskIdSchema } from './ids.ts';

/** The id of the one admission of a tenant and project. */
export const ADMISSION_ID = 'fleet';

/** Tasks handed over at once at most. */
export const MAX_GRANTS = 100;

const grantedSchema = z.object({
  type: z.literal('fleetlog.admission.granted.v1'),
  admissionId: z.literal(ADMISSION_ID),
  /** The process that decided it. */
  dispatcher: z.string().min(1).max(128),
  /** In the order in which they were decided. */
  grants: z
    .array(
      z.object({
        taskId: taskIdSchema,
        attempt: z.int().positive(),
        agent: nameSchema,
        runId: runIdSchema,
        /** The task's last transition before. It is handed over by its next one, or, when that is another (a cancel), not at all. */
        taskSeq: z.int().positive().optional(),
      }),
    )
    .min(1)
    .max(MAX_GRANTS),
  grantedAt: z.int().nonnegative(),
});

/** Every event that was ever appended to an admission's subject. */
export const admissionEventSchema = z.discriminatedUnion('type', [grantedSchema]);
export type AdmissionEvent = z.infer<typeof admissionEventSchema>;
export type Granted = AdmissionEvent['grants'][number];
export type AdmissionEventType = AdmissionEvent['type'];

const codec = aggregateCodec<AdmissionEvent>({
  family: 'admission',
  what: 'an admission',
  schema: admissionEventSchema,
  options: admissionEventSchema.options,
  idOf: ({ admissionId }) => ['admissionId', admissionId],
});

/** See {@link aggregateCodec}. */
export const {
  isType: isAdmissionEventType,
  encode: encodeAdmissionEvent,
  decode: decodeAdmissionEvent,
} = codec;
