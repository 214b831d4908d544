// The variables by which a program of a turn finds its runner.

/** `unix:/path` or `http://127.0.0.1:port`. */
export const CONTROL_VARIABLE = 'FLEETLOG_CONTROL';
/** The token of the turn: a secret that dies with it. */
export const TOKEN_VARIABLE = 'FLEETLOG_TURN_TOKEN';
