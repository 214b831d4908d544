// What Claude Code is given of the runner's environment, whether it is driven by itself or behind the Agent Client Protocol. Pure data.

/** Passed on from the runner's environment: its own key, where its model is, and its limits. */
export const CLAUDE_NAMES = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_BASE_URL',
  'ANTHROPIC_MODEL',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CODE_MAX_RETRIES',
  'CLAUDE_CONFIG_DIR',
  'API_TIMEOUT_MS',
  'IS_SANDBOX',
] as const;

/** A program that nobody watches neither updates itself in the middle of the work nor talks to anyone but its model. */
export const CLAUDE_SETTINGS: Readonly<Record<string, string>> = {
  DISABLE_AUTOUPDATER: '1',
  DISABLE_TELEMETRY: '1',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
};
