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

/** Parses an answer. An empty one is a status: nobody listens. */
export const parseAck = (message: Msg): PublishAck => {
  const { data } = message;
  if (data.length === 0) return { kind: 'unserved' };
  const body = JSON.parse(message.string()) as AckBody;
  if (body.error !== undefined) return { kind: 'error', error: body.error };
  return {
    kind: 'stored',
    stream: body.stream ?? '',
    seq: body.seq ?? 0,
    duplicate: body.duplicate === true,
  };
};
