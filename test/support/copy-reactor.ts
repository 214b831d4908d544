// A reactor whose output can be counted: every entry is copied to one subject of another stream.
import { defineReactor } from '#libs/commands/reactor.ts';
import { bytes } from './tally.ts';

/** Copies texts to `<stream>.copy`. */
export const copyReactor = (stream: string) =>
  defineReactor<string>({
    name: 'copy',
    react: (text) => [{ log: 'out', subject: `${stream}.copy`, body: bytes(text) }],
    headers: (_text, _reaction, { causation }) => ({ cause: causation }),
  });
