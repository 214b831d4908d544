// Reads what a TypeScript source imports and exports, without a parser: comments and template texts are blanked first, so that
// only real statements are seen. Knows nothing about what is allowed.

export interface ImportedName {
  /** As written: `./x.ts`, `#libs/kernel/fault.ts`, `node:fs`, `zod`. */
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

export interface SourceFile {
  /** From the top of the checkout. */
  readonly path: string;
  readonly text: string;
}

// One alternation, so that a quote inside a comment opens no string and the other way round. Regular-expression literals are
// close enough to division for what is looked for here.
const LEXEMES = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|`(?:\\[\s\S]|[^\\`])*`|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;

const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ');

/** The same text with comments and template literals blanked; lines keep their numbers, strings stay. */
export const withoutComments = (text: string): string =>
  text.replaceAll(LEXEMES, (lexeme) => (/^(?:\/[/*]|`)/.test(lexeme) ? blank(lexeme) : lexeme));

/** What remains when strings are blanked too: code only. */
export const codeOnly = (text: string): string => text.replaceAll(LEXEMES, blank);

const STATIC_IMPORT = /^[ \t]*(import|export)\s+(type\s+)?((?:[\w$*,\s{}]+?)\sfrom\s*)?['"]([^'"]+)['"]/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

const hasOnlyTypes = (clause: string): boolean => {
  const names =
    /\{([^}]*)\}/
      .exec(clause)?.[1]
      ?.split(',')
      .map((name) => name.trim()) ?? [];
  const listed = names.filter((name) => name !== '');
  return /^\s*\{/.test(clause) && listed.length > 0 && listed.every((name) => name.startsWith('type '));
};

/** Every module the file names, in order; re-exports count as imports. */
export const importsOf = (text: string): readonly ImportedName[] => {
  const code = withoutComments(text);
  const found: ImportedName[] = [];
  for (const [, , type, clause, specifier] of code.matchAll(STATIC_IMPORT)) {
    if (specifier !== undefined) {
      found.push({ specifier, isTypeOnly: type !== undefined || hasOnlyTypes(clause ?? '') });
    }
  }
  for (const [, specifier] of code.matchAll(DYNAMIC_IMPORT)) {
    if (specifier !== undefined) found.push({ specifier, isTypeOnly: false });
  }
  return found;
};
