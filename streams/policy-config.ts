// What a policy says about the agent that it wants: the configuration, as people write it in a file and as it is stored with every
// version. The file's schema is generated for editors (policies.schema.json). Cron expressions are checked by whoever takes a
// configuration in (libs/cron): a schema cannot.
import { z } from 'zod';
import { runnerSettingsSchema } from './host-instructions.ts';
import { nameSchema } from './ids.ts';
import { PROMPT_LIMIT_CHARACTERS } from './commands.ts';
import { providerSchema } from './run.ts';

/** When the agent is wanted. `on-demand`: while there is mail for it; `scheduled`: from a time of its calendar until it is idle. */
const POLICY_MODES = ['always-on', 'on-demand', 'scheduled', 'paused'] as const;

const seconds = (most: number) => z.int().min(0).max(most);
const DAY_S = 86_400;
const word = z.string().min(1).max(100);

const backoffSchema = z.strictObject({
  /** Waits after the first, second, … failure in a row; the last one repeats. Empty: 30 s each time. */
  scheduleSeconds: z
    .array(seconds(DAY_S))
    .max(32)
    .default([5, 15, 60, 300])
    .describe('Waits after the first, second, … failure in a row; the last one repeats. Empty: 30 s.'),
  /** Part of each wait that is left to chance, so that many policies do not come back at once. */
  jitter: z.number().min(0).max(1).default(0.2).describe('Part of each wait that is left to chance, 0 to 1.'),
  resetAfterSeconds: seconds(7 * DAY_S)
    .default(600)
    .describe('Failures are forgotten when the agent has run for so long.'),
});

export const scheduleSchema = z.strictObject({
  cron: z.string().min(1).max(200).describe('When it starts, as five cron fields: `0 7 * * 1-5`.'),
  timeZone: z.string().min(1).max(64).default('UTC').describe('IANA name: `Europe/Berlin`.'),
  /** A start that was missed (nothing ran then) is made up for within this time. */
  graceSeconds: seconds(DAY_S).default(300).describe('A missed start is made up for within this time.'),
});

const limitsSchema = z.strictObject({
  windowSeconds: z
    .int()
    .min(60)
    .max(7 * DAY_S)
    .default(3600)
    .describe('The time that the limits count over.'),
  /** Crashes within the window before the breaker opens and a person has to look; 0: never. */
  restarts: z
    .int()
    .min(0)
    .max(1000)
    .default(10)
    .describe('Crashes before a person has to look; 0: no limit.'),
  runs: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .describe('Turns; then it is stopped until they are older. 0: no limit.'),
  spendMicroUsd: z
    .int()
    .min(0)
    .default(0)
    .describe('Spend in millionths of a dollar, likewise. 0: no limit.'),
});

const healthSchema = z.strictObject({
  /** A turn without any sign of life for so long is stuck: nudge, then interrupt, then restart, one step each time; 0: never. */
  stuckAfterSeconds: seconds(7 * DAY_S)
    .default(0)
    .describe(
      'A turn silent for so long is stuck: nudge, interrupt, restart, one step each time. What waits for a person is only reported. 0: never.',
    ),
  /** The same call with the same input so often in a row is a loop; 0: never. */
  sameCalls: z
    .int()
    .min(0)
    .max(1000)
    .default(0)
    .describe('The same tool call with the same input so often in a row is a loop, treated alike. 0: never.'),
});

/** Fields of a configuration, with what counts where nothing is said. */
const fields = {
  mode: z.enum(POLICY_MODES).describe('When the agent is wanted.'),
  /** Default: the policy's own name. */
  agent: nameSchema.optional().describe('Name of the agent; default: that of the policy.'),
  host: nameSchema.optional().describe('The only host that may run it; default: any that fits.'),
  hostLabels: z
    .array(nameSchema)
    .max(16)
    .default([])
    .describe('What its host must have been given, all of them.'),
  provider: providerSchema.default('exec').describe('Kind of program.'),
  workspace: nameSchema.optional().describe('Where turns that name no folder work.'),
  prompt: z
    .string()
    .min(1)
    .max(PROMPT_LIMIT_CHARACTERS)
    .optional()
    .describe('What it is told first, each time it is started.'),
  permissionMode: word
    .optional()
    .describe("As the provider's program calls it: acceptEdits, workspace-write, …"),
  programArguments: z
    .array(z.string().max(4000))
    .max(100)
    .default([])
    .describe("Further arguments of the provider's program."),
  labels: z.array(nameSchema).max(64).default([]).describe('Of its runner, for tasks that ask for them.'),
  tags: z.array(word).max(32).default([]).describe('For people and lists.'),
  capabilities: z.array(word).max(32).default([]).describe('What it can do, for whoever looks for one.'),
  settings: runnerSettingsSchema.default({}).describe('Settings of its runner by name: concurrency, …'),
  backoff: backoffSchema.prefault({}).describe('What a failure leads to.'),
  keepAliveSeconds: seconds(7 * DAY_S)
    .default(0)
    .describe('on-demand and scheduled: stopped when idle for so long; 0: never.'),
  schedule: scheduleSchema.optional().describe('Of mode scheduled: when it starts.'),
  dailyRestart: z.boolean().default(false).describe('Started anew every 24 hours, when idle for an hour.'),
  restartOnUpdate: z
    .boolean()
    .default(false)
    .describe('Started anew when the policy or its host was updated, once idle for a minute.'),
  startTimeoutSeconds: z
    .int()
    .min(1)
    .max(3600)
    .default(60)
    .describe('From the instruction to its registration.'),
  stopTimeoutSeconds: z.int().min(1).max(600).default(10).describe('From asking it to stop to killing it.'),
  limits: limitsSchema.prefault({}).describe('What it may do within a time.'),
  health: healthSchema.prefault({}).describe('When it counts as stuck.'),
  notify: nameSchema
    .optional()
    .describe('Agent or person that is told, once each time, that the agent has died or was given up.'),
};

interface Shape {
  readonly mode: (typeof POLICY_MODES)[number];
  readonly schedule?: unknown;
}

const scheduleMatches = ({ mode, schedule }: Shape): boolean =>
  mode !== 'scheduled' || schedule !== undefined;

/** As people write it: an unknown field is a mistake that is named. */
export const policyInputSchema = z.strictObject(fields).refine(scheduleMatches, {
  path: ['schedule'],
  message: 'mode scheduled needs a schedule with a cron expression',
});
export type PolicyInput = z.infer<typeof policyInputSchema>;

/** As it is stored: unknown keys are dropped at reading, missing ones are their defaults, so changes are additive. */
export const policyConfigSchema = z.object({ ...fields, agent: nameSchema });
export type PolicyConfig = z.infer<typeof policyConfigSchema>;

/** A file of policies, by name. */
export const policyFileSchema = z.strictObject({
  policies: z.record(nameSchema, policyInputSchema).describe('Policies by name.'),
});

/** The configuration that an input means. */
export const configOf = (policy: string, { agent, ...input }: PolicyInput): PolicyConfig => ({
  ...input,
  agent: agent ?? policy,
});
