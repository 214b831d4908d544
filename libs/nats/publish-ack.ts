// The broker's answer to a publish or to the commit of a batch.
import type { Msg } from '@nats-io/transport-node';
import type { BrokerError } from './errors.ts';

/** `unserved`: no stream listens to the subject now. `seq` of a batch is that of its last message. */
export type PublishAck =
  | { readonly kind: 'stored'; readonly stream: string; readonly seq: number; readonly duplicate: boolean }
  | { readonly kind: 'error'; readonly error: BrokerError }
  | { readonly kind: 'unserved' };

interface AckBody {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: BrokerError;
}

/** Whoever else answers on the subject does not speak like the broker: that is a refusal. */
const UNREADABLE: AckBody = { error: { code: 400, description: 'the answer is not one of JetStream' } };

const parseBody = (text: string): AckBody => {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : UNREADABLE;
  } catch {
    return UNREADABLE;
  }
};

/** Parses an answer. An empty one is a status: nobody listens. */
export const parseAck = (message: Msg): PublishAck => {
  const { data } = message;
  if (data.length === 0) return { kind: 'unserved' };
  const body = parseBody(message.string());
  if (body.error !== undefined) return { kind: 'error', error: body.error };
  return {
    kind: 'stored',
    stream: body.stream ?? '',
    seq: body.seq ?? 0,
    duplicate: body.duplicate === true,
  };
};
