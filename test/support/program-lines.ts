// Lines that real programs have printed (test/golden/programs/*.jsonl, paths and long lists shortened) and what our readers make of them.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClaudeReader } from '#services/runner/providers/claude/claude-reader.ts';
import { createCodexReader } from '#services/runner/providers/codex/codex-reader.ts';
import type { LineMeaning, ProgramReader } from '#services/runner/providers/program-reader.ts';
import type { ResumePoint } from '#services/runner/providers/turn-facts.ts';

const FOLDER = join(import.meta.dirname, '../golden/programs');

/** Where the recorded turns worked. */
export const WORKSPACE = '/space';

/** Recorded turns that went on with a conversation: which one, and where its counters stood. */
const RESUMED: Readonly<Record<string, ResumePoint>> = {
  'claude-2.1.329-resume': {
    providerSessionId: '3dd1e431-7e21-4751-96bb-0819b8495a68',
    counters: { costMicroUsd: 7560 },
  },
  'claude-2.1.329-approved': {
    providerSessionId: '3ea113ac-11e1-4564-ba23-42447b236059',
    counters: { costMicroUsd: 600 },
  },
  'claude-2.1.329-gone': { providerSessionId: '11111111-1111-4111-8111-111111111111', counters: {} },
  'codex-0.169.0-resume': {
    providerSessionId: '01a1fd59-f9a6-73a0-b2b1-13f8c38d6bc4',
    counters: { inputTokens: 2200, cachedInputTokens: 200, outputTokens: 60 },
  },
};

/** Names of the recorded turns. */
export const CASES: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.jsonl'))
  .map((name) => name.replace(/\.jsonl$/, ''));

/** Where it is recorded what a turn means. */
export const recordedPath = (name: string): string => join(FOLDER, `${name}.means.json`);

export interface Meanings {
  readonly meanings: readonly LineMeaning[];
  readonly session: ResumePoint | 'gone' | null;
}

/** Tells a reader every line. */
export const readAll = (reader: ProgramReader, lines: readonly string[], errorTail = ''): Meanings => ({
  meanings: lines.flatMap((line) => reader.read({ bytes: Buffer.from(line), cutBytes: 0 })),
  session: reader.session(errorTail) ?? null,
});

/** What the recorded lines of a turn mean. */
export const meaningsOf = (name: string): Meanings => {
  const resume = RESUMED[name];
  const order = { workspace: WORKSPACE, ...(resume !== undefined && { resume }) };
  const reader = name.startsWith('claude') ? createClaudeReader(order) : createCodexReader(order);
  return readAll(reader, readFileSync(join(FOLDER, `${name}.jsonl`), 'utf8').split('\n'));
};
