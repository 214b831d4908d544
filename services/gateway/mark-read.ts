// Notes that a reader has seen a session or a task. The reader names the version that it saw: what changed between its look and this note
// stays unread (WK-59). A version that is not there yet is a mistake: it would hide what is still to come.
import { markReadSchema } from '#streams/http/sessions.ts';
import {
  foreignBoundary,
  isRefused,
  speakerOf,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
} from './http.ts';
import { catchUp } from './catch-up.ts';
import { inputInvalid, readBody } from './input.ts';

/** Finds the thing of a path; `seq` is that of its last change, as it is shown. */
type Find = (id: string) => Promise<{ readonly id: string; readonly seq: number } | Refused>;

/** The handler of `POST …/:id/read`. */
export const markRead =
  (parts: GatewayParts, kind: 'session' | 'task', find: Find) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, markReadSchema, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const { version } = input;
    const reader = speakerOf(request, input.reader);
    const asked = request.req.param('id') ?? '';
    let thing = await find(asked);
    if (!isRefused(thing) && version > thing.seq) {
      // What the reader saw may have been told by another gateway that is further.
      const families = kind === 'task' ? (['task'] as const) : (['run', 'session'] as const);
      await catchUp(parts, kind === 'task' ? parts.views.tasks : parts.views.sessions, { families });
      thing = await find(asked);
    }
    if (isRefused(thing)) return thing;
    if (version > thing.seq)
      throw inputInvalid([
        { path: 'version', message: `the ${kind} is at ${thing.seq}: nobody can have seen more` },
      ]);
    const answer = await parts.sessionsClient.ask('mark-read', {
      of: { kind, id: thing.id },
      reader,
      version,
    });
    return answer.kind === 'refused' ? { refused: answer.rejection } : request.json(answer.result, 202);
  };
