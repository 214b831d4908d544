// FLEETLOG_ variables that no configuration section has, because the command line or the broker's starter reads them: a service
// process that inherits one does not call it unknown.

export const COMMAND_LINE_VARIABLES: readonly string[] = [
  'FLEETLOG_DATA',
  'FLEETLOG_TENANT',
  'FLEETLOG_PROJECT',
  'FLEETLOG_API_URL',
  'FLEETLOG_API_TOKEN',
  'FLEETLOG_API_TOKEN_FILE',
  'FLEETLOG_NATS_URL',
  'FLEETLOG_NATS_USER',
  'FLEETLOG_NATS_PASSWORD',
  'FLEETLOG_NATS_PASSWORD_FILE',
  'FLEETLOG_NATS_SERVER',
  'FLEETLOG_NATS_RELEASES',
  'FLEETLOG_OFFLINE',
  'FLEETLOG_HOSTED',
  'FLEETLOG_SPAWN',
  'FLEETLOG_FLEET_AGENTS',
  'FLEETLOG_FLEET_HOSTS',
  'FLEETLOG_FLEET_REPLICAS',
];
