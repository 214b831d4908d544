// How programs that pretend to be Claude Code read their prompt: the whole standard input, or its first line where it stays open for words. As source text, for
// programs written by tests; it needs `args` and `node:fs`.
export const READ_PROMPT = `
const firstLine = () => {
  const bytes = [];
  const one = Buffer.alloc(1);
  for (;;) {
    try {
      if (readSync(0, one) === 0 || one[0] === 10) return Buffer.from(bytes).toString();
      bytes.push(one[0]);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
};
const readPrompt = () =>
  args.includes('--input-format') ? JSON.parse(firstLine()).message.content : readFileSync(0, 'utf8');
`;
