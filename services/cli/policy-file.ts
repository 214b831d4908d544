// A file of policies as people write it (YAML or JSON): read, checked, and every mistake of it told at once, each with its line.
import { isMap, isScalar, LineCounter, parseDocument, stringify, visit, type Document } from 'yaml';
import { cronProblem } from '#libs/cron/cron.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { nearest } from '#libs/config/nearest.ts';
import {
  policyFileSchema,
  policyInputSchema,
  scheduleSchema,
  type PolicyConfig,
  type PolicyInput,
} from '#streams/policy-config.ts';
import { z } from 'zod';

/** One mistake; `line` from 1. */
interface Mistake {
  readonly line: number;
  readonly text: string;
}

type Path = readonly PropertyKey[];

/** Where things of a document are. */
class Places {
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  /** The line of what a path leads to, or of what it leads to as far as there is anything. */
  lineOf(path: Path): number {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.keyLine(path.slice(0, length));
      if (line !== undefined) return line;
    }
    return 1;
  }

  /** The line of the key at the end of a path; undefined: there is none. */
  keyLine(path: Path): number | undefined {
    const last = path.at(-1);
    const parent =
      path.length === 1 ? this.#document.contents : this.#document.getIn(path.slice(0, -1), true);
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => (isScalar(key) ? key.value : key) === last)
      : undefined;
    const node = pair?.key ?? this.#document.getIn(path, true);
    const offset = (node as { readonly range?: readonly number[] } | undefined)?.range?.[0];
    return offset === undefined ? undefined : this.#lines.linePos(offset).line;
  }
}

const nameOf = (path: Path): string => path.map(String).join('.');

/** Of a policy's own fields, for a mistyped one. */
const hint = (path: Path, key: string): string => {
  const meant = path.length === 2 ? nearest(key, Object.keys(policyInputSchema.shape)) : undefined;
  return meant === undefined ? '' : `; did you mean ${meant}?`;
};

const ofIssue = (issue: z.core.$ZodIssue, places: Places): readonly Mistake[] => {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      line: places.lineOf([...path, key]),
      text: `${nameOf([...path, key])}: there is no such field${hint(path, key)}`,
    }));
  return [{ line: places.lineOf(path), text: `${nameOf(path) || 'the file'}: ${problemOf(issue)}` }];
};

/** In the words of whoever wrote the file. */
const problemOf = (issue: z.core.$ZodIssue): string => {
  if (issue.code === 'invalid_key')
    return 'a name is 1 to 64 of a-z 0-9 _ - and begins with a letter or digit';
  if (issue.code !== 'invalid_type') return issue.message;
  const found = issue.message.replace(/^.*received /, '');
  if (issue.path.length === 0)
    return `expected "policies:" with names and their fields below it, not ${found === 'null' ? 'an empty file' : found}`;
  const wanted =
    issue.expected === 'record' || issue.expected === 'object' ? 'fields below it' : `a ${issue.expected}`;
  // The first thing that many write.
  if (issue.expected === 'record' && found === 'array')
    return 'expected a name with its fields below it (heron: { mode: always-on, … }), not a list of "- …"';
  return found === 'undefined' ? `it is missing (${wanted})` : `expected ${wanted}, not ${found}`;
};

/** What can be seen of a file whatever else is wrong with it. */
const glimpse = z.object({ policies: z.record(z.string(), z.unknown()) });

/** Of calendars that are what a calendar has to be, and can never be kept. */
const ofCalendars = (file: unknown, places: Places): readonly Mistake[] =>
  Object.entries(glimpse.safeParse(file).data?.policies ?? {}).flatMap(([name, policy]) => {
    const { data } = z.object({ schedule: scheduleSchema }).safeParse(policy);
    const problem = data === undefined ? undefined : cronProblem(data.schedule);
    const at = ['policies', name, 'schedule'];
    return problem === undefined ? [] : [{ line: places.lineOf(at), text: `${nameOf(at)}: ${problem}` }];
  });

/** What a schema cannot see. */
const ofAgents = (policies: Readonly<Record<string, PolicyInput>>, places: Places): readonly Mistake[] => {
  const holders = new Map<string, string>();
  return Object.entries(policies).flatMap(([name, { agent = name }]) => {
    const mistakes: Mistake[] = [];
    const holder = holders.get(agent);
    if (holder !== undefined)
      mistakes.push({
        line: places.lineOf(['policies', name, 'agent']),
        text: `policies.${name}.agent: ${agent} is the agent of ${holder} already`,
      });
    holders.set(agent, holder ?? name);
    return mistakes;
  });
};

/** A name or field that is written twice: only one of them could count, and nobody said which. */
const ofRepeats = (document: Document, lines: LineCounter): readonly Mistake[] => {
  const mistakes: Mistake[] = [];
  const lineAt = (key: unknown): number =>
    lines.linePos((key as { readonly range?: readonly number[] } | null)?.range?.[0] ?? 0).line;
  visit(document, {
    Map: (_, { items }) => {
      const first = new Map<unknown, unknown>();
      for (const { key } of items) {
        const name = isScalar(key) ? key.value : key;
        if (first.has(name))
          mistakes.push({
            line: lineAt(key),
            text: `${String(name)}: it is there already, at line ${lineAt(first.get(name))}`,
          });
        else first.set(name, key);
      }
    },
  });
  return mistakes;
};

const refuse = (file: string, mistakes: readonly Mistake[]): Fault => {
  const lines = mistakes
    .toSorted((a, b) => a.line - b.line)
    .map(({ line, text }) => `  ${file}:${line}: ${text}`);
  return new Fault({
    code: 'POLICY_FILE_INVALID',
    retry: 'never',
    message: `${file} has ${lines.length} ${lines.length === 1 ? 'mistake' : 'mistakes'}; nothing was applied\n${lines.join('\n')}`,
    detail: { mistakes },
  });
};

/** The policies of a file, by name. Fault `POLICY_FILE_INVALID` (never), with all mistakes. */
export const readPolicyFile = (text: string, file: string): Readonly<Record<string, PolicyInput>> => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const places = new Places(document, lines);
  if (document.errors.length > 0)
    throw refuse(
      file,
      document.errors.map(({ message, pos }) => ({ line: lines.linePos(pos[0]).line, text: message })),
    );
  const value: unknown = document.toJS();
  const parsed = policyFileSchema.safeParse(value);
  const seen = [...ofRepeats(document, lines), ...ofCalendars(value, places)];
  if (!parsed.success)
    throw refuse(file, [...parsed.error.issues.flatMap((issue) => ofIssue(issue, places)), ...seen]);
  const mistakes = [...seen, ...ofAgents(parsed.data.policies, places)];
  if (mistakes.length > 0) throw refuse(file, mistakes);
  return parsed.data.policies;
};

/** A policy as a file that can be applied again. */
export const writePolicyFile = (policy: string, config: PolicyConfig): string =>
  stringify({ policies: { [policy]: config } }).trimEnd();
