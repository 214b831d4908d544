// Approvals as they are listed, newest first, by state; and which run each belongs to. Kept beside the view of approvals, whose keys are runs.
import type { ReadView } from '#libs/projections/read-view.ts';
import { approvalsViewSchema, viewKey, type APPROVAL_STATES, type ApprovalsView } from '#streams/buckets.ts';
import type { ListPosition } from './cursor.ts';
import { TimeIndex, type TimePage } from './time-index.ts';

type ApprovalState = (typeof APPROVAL_STATES)[number];

const rowSchema = approvalsViewSchema.pick({ tenant: true, project: true, runId: true }).extend({
  approvals: approvalsViewSchema.shape.approvals.element
    .pick({ approvalId: true, state: true, askedAt: true })
    .array(),
});

interface ApprovalRow extends ListPosition {
  readonly state: ApprovalState;
  /** Of its run in the bucket. */
  readonly key: string;
}

/** The approvals of one run. */
export interface ApprovalRows {
  readonly rows: readonly ApprovalRow[];
}

/** The rows of a value of the bucket; throws for what is none. */
export const approvalRowsOf = (value: unknown): ApprovalRows => {
  const { runId, approvals, ...boundary } = rowSchema.parse(value);
  const key = viewKey(boundary, runId);
  return {
    rows: approvals.map(({ approvalId, state, askedAt }) => ({ id: approvalId, atMs: askedAt, state, key })),
  };
};

export class ApprovalIndex {
  readonly #byState = new TimeIndex<ApprovalRow>(({ state }) => state);
  readonly #keys = new Map<string, string>();

  /** Follows the view from now on. */
  constructor(view: Pick<ReadView<Omit<ApprovalsView, 'seq'>, ApprovalRows>, 'follow'>) {
    view.follow((before, after) => {
      for (const row of before?.rows ?? []) {
        this.#byState.remove(row);
        this.#keys.delete(row.id);
      }
      for (const row of after?.rows ?? []) {
        this.#byState.add(row);
        this.#keys.set(row.id, row.key);
      }
    });
  }

  /** The key of its run in the bucket `approvals`; undefined: not shown, or settled long ago. */
  keyOf(approvalId: string): string | undefined {
    return this.#keys.get(approvalId);
  }

  /** A page of those in some states, or of one run. */
  page(
    {
      state,
      key,
    }: { readonly state?: readonly ApprovalState[] | undefined; readonly key?: string | undefined },
    place: { readonly after?: ListPosition | undefined; readonly limit: number },
  ): TimePage<ApprovalRow> {
    return this.#byState.page(
      place,
      (name) => state === undefined || (state as readonly string[]).includes(name),
      (row) => key === undefined || row.key === key,
    );
  }
}
