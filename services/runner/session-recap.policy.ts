// What a session was about so far, for a program that does not know it any more: what is kept of each turn, within bounds, and how it is
// told. Pure.
import type { TurnResult } from '#streams/turn-result.ts';

/** One turn of a session, as it is kept. */
export interface RecapTurn {
  readonly endedAt: number;
  readonly prompt: string;
  readonly outcome: TurnResult['outcome'];
  readonly summary: string;
}

/** Older turns give way to newer ones. */
const TURNS = 12;
const PROMPT_CHARACTERS = 1500;
const SUMMARY_CHARACTERS = 2000;
/** Of the whole text. */
const MOST_CHARACTERS = 16_000;

const cut = (text: string, most: number): string => {
  const plain = text.trim();
  return plain.length > most ? `${plain.slice(0, most)} […]` : plain;
};

/** The turns kept after one more. */
export const withTurn = (turns: readonly RecapTurn[], turn: RecapTurn): readonly RecapTurn[] => [
  ...turns.slice(-(TURNS - 1)),
  {
    ...turn,
    prompt: cut(turn.prompt, PROMPT_CHARACTERS),
    summary: cut(turn.summary, SUMMARY_CHARACTERS),
  },
];

const ENDED: Readonly<Record<TurnResult['outcome'], string>> = {
  done: 'You answered',
  yielded: 'You paused with',
  blocked: 'You could not go on',
  failed: 'That turn failed',
  cancelled: 'That turn was cancelled',
};

const told = ({ prompt, outcome, summary }: RecapTurn): string =>
  `You were asked:\n${prompt}\n${ENDED[outcome]}${summary === '' ? '.' : `:\n${summary}`}`;

/** How a conversation is told to a program that begins it anew. */
export interface Recap {
  /** Put before the prompt; empty when nothing is known. */
  readonly text: string;
  /** Turns that it tells of. */
  readonly turns: number;
}

/** Tells the newest turns that fit, oldest first. */
export const recapOf = (turns: readonly RecapTurn[]): Recap => {
  const parts: string[] = [];
  let characters = 0;
  for (const turn of turns.toReversed()) {
    const part = told(turn);
    if (characters + part.length > MOST_CHARACTERS) break;
    parts.unshift(part);
    characters += part.length;
  }
  if (parts.length === 0) return { text: '', turns: 0 };
  const omitted = turns.length - parts.length;
  const head =
    'This goes on from an earlier conversation that is no longer available to you. What it was about, oldest first' +
    (omitted === 0 ? ':' : ` (${omitted} older ${omitted === 1 ? 'turn is' : 'turns are'} left out):`);
  return {
    text: [head, ...parts, 'The files of the workspace are as they were left. What you are asked now:'].join(
      '\n\n',
    ),
    turns: parts.length,
  };
};
