// Instructions to hosts (stream COMMANDS): start and stop the runner of an agent. Each has a deadline: a host that comes back after it
// does not do it, and says so. `spawnId` names one start for good; both instructions and every report of it carry it.
import { z } from 'zod';
import { commandIdSchema, nameSchema, spawnIdSchema } from './ids.ts';
import { providerSchema } from './run.ts';

const epochMs = z.int().nonnegative();

/** A setting of the runner (services/runner/runner-config.ts) by its name there: `concurrency`, `claudeProgram`, … */
export const runnerSettingsSchema = z.record(
  z
    .string()
    .max(64)
    .regex(/^[a-z][A-Za-z0-9]*$/, 'expected the name of a setting of the runner, as concurrency'),
  z.union([z.string().max(4000), z.number(), z.boolean(), z.array(z.string().max(4000)).max(100)]),
);

const about = {
  commandId: commandIdSchema,
  spawnId: spawnIdSchema,
  policy: nameSchema,
  agent: nameSchema,
  host: nameSchema,
};
const asked = {
  reason: z.string().max(500),
  requestedBy: z.string().min(1).max(128),
  requestedAt: epochMs,
  /** Not done after this; the refusal `COMMAND_EXPIRED` says so. */
  deadlineAt: epochMs,
};

const agentSpawn = z.object({
  ...about,
  provider: providerSchema,
  /** Workspace of turns that name none; default: that of the conversation. */
  workspace: nameSchema.optional(),
  /** For the record: whoever asks for an agent gives it its prompt, as its first run or message, when it is registered. The host does not use it. */
  prompt: z.string().max(200_000).optional(),
  /** As the provider's program calls it: `acceptEdits`, `workspace-write`; acp: ask, allow, deny. */
  permissionMode: z.string().max(100).optional(),
  /** Further arguments of the provider's program. */
  programArguments: z.array(z.string().max(4000)).max(100).default([]),
  /** Of the runner, for tasks that ask for them. */
  labels: z.array(nameSchema).max(64).default([]),
  /** For people and lists; the host hands them on in the runner's environment. */
  tags: z.array(z.string().min(1).max(100)).max(32).default([]),
  capabilities: z.array(z.string().min(1).max(100)).max(32).default([]),
  settings: runnerSettingsSchema.default({}),
  ...asked,
});

const agentShutdown = z.object({
  ...about,
  /** False: killed at once. */
  graceful: z.boolean().default(true),
  /** From asking it to stop to killing it. */
  timeoutMs: z.int().min(0).max(600_000).default(10_000),
  ...asked,
});

/** Subject type token → event type and schema, as part of the instructions. */
export const HOST_INSTRUCTIONS = {
  'agent-spawn': {
    type: 'fleetlog.command.agent-spawn.v1',
    schema: agentSpawn,
    means: 'To a host: start a runner for this agent, once for this spawn id, unless the deadline is over.',
  },
  'agent-shutdown': {
    type: 'fleetlog.command.agent-shutdown.v1',
    schema: agentShutdown,
    means:
      'To a host: end the runner of this spawn id, and with it all that it started; one that has not been started is not started any more.',
  },
} as const;

export type HostInstructionName = keyof typeof HOST_INSTRUCTIONS;
export const isHostInstruction = (name: string): name is HostInstructionName => name in HOST_INSTRUCTIONS;
export type SpawnInstruction = z.infer<typeof agentSpawn>;
export type ShutdownInstruction = z.infer<typeof agentShutdown>;
