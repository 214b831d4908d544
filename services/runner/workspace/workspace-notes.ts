// What an agent is told about the folder it works in, from the facts in its environment. Pure: absent, unreadable or strange facts give no
// notes, and never an error.
import { z } from 'zod';

/** `isolated`: a git worktree of its own; `folder`: a plain folder. */
const factsSchema = z.object({
  mode: z.enum(['isolated', 'folder']),
  deps: z.object({
    /** Installed dependencies: of the main checkout (`linked`), not there though the main checkout has some (`absent`), or its own affair (`own`). */
    mode: z.enum(['linked', 'absent', 'own']),
  }),
  symlinks: z.object({
    /** Untracked paths that are links to the main checkout, relative. */
    linked: z.array(z.string()),
  }),
});
export type WorkspaceFacts = z.infer<typeof factsSchema>;

/** The variable with the facts, as JSON. */
export const WORKSPACE_FACTS = 'FLEETLOG_WORKSPACE_JSON';

const DEPS: Readonly<Record<WorkspaceFacts['deps']['mode'], string>> = {
  linked:
    'Dependencies: the installed ones are those of the main checkout. Use them as they are; installing, updating or removing one changes them for everybody.',
  absent:
    'Dependencies: none are installed in this workspace. Install what you need before you build or test.',
  own: '',
};

const linkNote = ({ mode, symlinks }: WorkspaceFacts): string => {
  if (mode !== 'isolated' || symlinks.linked.length === 0) return '';
  const paths = symlinks.linked.map((path) => `- ${path}`).join('\n');
  return `This workspace is a git worktree of its own, but these untracked paths are links to the main checkout:\n${paths}\nWhat you edit or delete there is edited or deleted in the main checkout. Treat them as read-only unless the main checkout is meant to change.`;
};

const parse = (json: string): unknown => {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return undefined;
  }
};

/** The notes, dependencies first, joined by a blank line; empty when there is nothing to say. */
export const workspaceNotes = (json: string | undefined): string => {
  const { data } = factsSchema.safeParse(json === undefined ? undefined : parse(json));
  if (data === undefined) return '';
  return [DEPS[data.deps.mode], linkNote(data)].filter((note) => note !== '').join('\n\n');
};
