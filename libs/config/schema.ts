// What a configuration schema is and how its fields are called at each source: `leaseMs` of section `tasks` is
// `--tasks-lease-ms`, `FLEETLOG_TASKS_LEASE_MS` and `{"tasks":{"leaseMs":…}}`. Pure.
import { z } from 'zod';

/** A flat zod object; field names in camelCase with their unit. Build it with {@link configSchema} and the types of `fields.ts`. */
export type ConfigSchema<Config = unknown> = z.ZodType<Config> & {
  readonly shape: Readonly<Record<string, z.core.$ZodType>>;
};

/** The parsed configuration of a schema. */
export type ConfigOf<Schema extends ConfigSchema> = z.output<Schema>;

/** A schema over the given fields. */
export const configSchema = <Shape extends z.core.$ZodShape>(shape: Shape) => z.strictObject(shape);

/** The schema of a service that has nothing to configure. */
export const emptyConfig = configSchema({});

/** The schemas of one process by section; the section `''` has no prefix. */
export type ConfigSections = Readonly<Record<string, ConfigSchema>>;

const words = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').replaceAll('_', '-');

/** The names of one field at each source. */
export interface FieldNames {
  /** `tasks.leaseMs` */
  readonly path: string;
  /** `FLEETLOG_TASKS_LEASE_MS` */
  readonly variable: string;
  /** `--tasks-lease-ms` */
  readonly flag: string;
  /** `tasksLeaseMs`, the key among parsed flags */
  readonly option: string;
}

export const namesOf = (section: string, field: string): FieldNames => {
  const kebab = words(section === '' ? field : `${section}-${field}`).toLowerCase();
  return {
    path: section === '' ? field : `${section}.${field}`,
    variable: `FLEETLOG_${kebab.replaceAll('-', '_').toUpperCase()}`,
    flag: `--${kebab}`,
    option: kebab.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
  };
};
