// The queue of a reactor that follows a log which its process reads anyway (libs/consumers/followed-queue.ts), for a consumer loop.
import { createFollowedQueue } from '#libs/consumers/followed-queue.ts';
import type { WorkQueue } from '#libs/ports/work-queue.ts';
import type { Ports } from './context.ts';

/** What a reactor follows, and since when. */
interface Followed {
  readonly stream: string;
  /** Key of its place. */
  readonly name: string;
  readonly filterSubjects: readonly string[];
  readonly startsAt?: 'first' | 'new';
}

/** A queue of its own; `places` is the name of the bucket that keeps how far it has come. Faults come with the first batch. */
export const reactorQueue = (
  { log, bucket, clock, ids }: Pick<Ports, 'log' | 'bucket' | 'clock' | 'ids'>,
  { stream, name, filterSubjects, startsAt = 'first' }: Followed,
  places: string,
): WorkQueue =>
  createFollowedQueue({
    name,
    log: log(stream),
    subjects: filterSubjects,
    places: bucket(places),
    startsAt,
    clock,
    ids,
  });
