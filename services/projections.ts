// Every projection of the product, for the commands that rebuild and verify. Apart from registry.ts so that they load no service.
import { projectionTools, type ProjectionTools } from './cli/projection-tools.ts';
import { sourcesProjection } from './audit/projections.ts';
import { agentsProjection, policiesProjection } from './lifecycle/projections.ts';
import { hostsProjection } from './hosts/projections.ts';
import { messagesProjection, obligationsProjection } from './mail/projections.ts';
import { activityProjection, approvalsProjection, runsProjection } from './runs/projections.ts';
import { sessionsProjection } from './sessions/projections.ts';
import { tasksProjection } from './tasks/projections.ts';

/** Every fold of the log into a bucket. */
export const projections: readonly ProjectionTools[] = [
  projectionTools(runsProjection),
  projectionTools(sessionsProjection),
  projectionTools(activityProjection),
  projectionTools(sourcesProjection),
  projectionTools(tasksProjection),
  projectionTools(approvalsProjection),
  projectionTools(messagesProjection),
  projectionTools(obligationsProjection),
  projectionTools(policiesProjection),
  projectionTools(agentsProjection),
  projectionTools(hostsProjection),
];
