// The schema of a file of policies, for editors. Pure.
import { z } from 'zod';
import { policyFileSchema } from './policy-config.ts';

/** A JSON schema (draft 2020-12); what may be left out shows what counts then. */
export const policySchemaDocument = (): Readonly<Record<string, unknown>> => ({
  title: 'Policies of Fleetlog',
  description: 'Agents that are wanted. Apply with: fleetlog policy apply -f policies.yaml',
  ...z.toJSONSchema(policyFileSchema, { io: 'input', unrepresentable: 'any' }),
});
