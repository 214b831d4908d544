// Every service of the product, in start order. A new service is added here and nowhere else; its projections in projections.ts.
import type { Service } from '#libs/service/define-service.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { newSecret } from '#libs/system/secrets.ts';
import { mail } from './mail/service.ts';
import { audit } from './audit/service.ts';
import { gateway } from './gateway/service.ts';
import { dispatch } from './dispatch/service.ts';
import { createRunnerService } from './runner/service.ts';
import { runs } from './runs/service.ts';
import { sessions } from './sessions/service.ts';
import { tasks } from './tasks/service.ts';

/** The services that decide, fold and answer. */
export const controlServices: readonly Service[] = [runs, sessions, mail, tasks, dispatch, audit, gateway];

/** The service that drives one agent's program. */
export const runnerService: Service = createRunnerService({
  environment: readEnvironment(),
  newSecret,
});

/** All of them. */
export const services: readonly Service[] = [...controlServices, runnerService];
