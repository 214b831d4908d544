// Whether a workspace may be taken away: only when nothing that somebody made would be lost by it. Pure and total; whatever is not known
// speaks for keeping.

/** What was found in an isolated workspace. */
export interface WorktreeFindings {
  /** Paths changed, staged or untracked (ignored ones and links of ours not counted). */
  readonly changes: number;
  /** Commits of its branch or its head that nothing else has: no other branch, no remote's, no tag. */
  readonly unmerged: number;
  /** A merge, rebase, cherry-pick, revert or bisect has begun and not ended. */
  readonly isInOperation: boolean;
  /** It has submodules checked out, whose work is not looked at. */
  readonly hasSubmodules: boolean;
}

/** What is known of a workspace. */
export type WorkspaceCondition =
  /** A plain folder: nobody can say what in it is work. */
  | { readonly kind: 'folder' }
  | { readonly kind: 'in-use' }
  /** Its record or its repository cannot be read. */
  | { readonly kind: 'unreadable'; readonly problem: string }
  /** Its making or its removal was interrupted; nothing was worked in it since. */
  | { readonly kind: 'left-over' }
  /** Used more recently than asked for; not looked into. */
  | { readonly kind: 'recent' }
  | { readonly kind: 'idle'; readonly findings: WorktreeFindings };

export interface Verdict {
  readonly remove: boolean;
  readonly reason: string;
}

const keep = (reason: string): Verdict => ({ remove: false, reason });
const count = (amount: number, what: string): string => `${amount} ${what}${amount === 1 ? '' : 's'}`;

export const judge = (condition: WorkspaceCondition): Verdict => {
  if (condition.kind === 'recent') return keep('used too recently');
  if (condition.kind === 'folder') return keep('a plain folder: look into it and remove it yourself');
  if (condition.kind === 'in-use') return keep('in use');
  if (condition.kind === 'unreadable') return keep(condition.problem);
  if (condition.kind === 'left-over') return { remove: true, reason: 'left over, never worked in' };
  const { findings } = condition;
  if (findings.changes > 0) return keep(count(findings.changes, 'uncommitted change'));
  if (findings.isInOperation) return keep('a merge, rebase or the like has begun');
  if (findings.unmerged > 0) return keep(count(findings.unmerged, 'unmerged commit'));
  if (findings.hasSubmodules) return keep('has submodules');
  return { remove: true, reason: 'everything in it is committed and merged' };
};
