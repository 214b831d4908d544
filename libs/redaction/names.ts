// Decides by a name alone (object key, variable, flag, header) whether its value is a secret. Pure.
// In a system about language models `tokens`, `maxTokens` and `tokenCount` are amounts, not secrets; a reference to a secret is not one.

const strong = new Set(
  'password passwords passwd passphrase passcode secret secrets credential credentials creds authorization cookie cookies apikey accesskey secretkey privatekey authtoken accesstoken refreshtoken sessiontoken'.split(
    ' ',
  ),
);

/** `<word> key` is a secret. */
const beforeKey = new Set(
  'api access private secret signing encryption auth master account shared role deploy ssh'.split(' '),
);

/** `<word> tokens` (the plural) is a secret. */
const beforeTokens = new Set('access refresh auth api bearer session'.split(' '));

/** `<word> token` is not a secret. */
const beforeToken = new Set(
  'max min total input output num per page next cancel cancellation syntax stop eos bos pad unk mask special'.split(
    ' ',
  ),
);

/** A name that ends in one of these says something about a secret and is not one. */
const neutralEnd = new Set(
  'ref refs reference references name names id ids count counts type types kind path paths file files dir url uri endpoint expires expiry expiration at ms ttl seconds minutes limit limits policy required length size usage used budget rate cost price source status state prompt hint field fields label placeholder env variable var provider manager store scope scopes format version algorithm alg printed redacted enabled present valid header headers prefix index helper helpers test tests namespace'.split(
    ' ',
  ),
);

const wordsOf = (name: string): readonly string[] =>
  name
    .slice(-128)
    // What tells two redacted keys apart is no part of the name.
    .replace(/#\d{1,9}$/, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');

const isSecretWord = (word: string, previous: string | undefined): boolean => {
  if (strong.has(word)) return true;
  if (word === 'key') return previous !== undefined && beforeKey.has(previous);
  if (word === 'token') return previous === undefined || !beforeToken.has(previous);
  if (word === 'tokens') return previous !== undefined && beforeTokens.has(previous);
  // PWD and OLDPWD are folders.
  if (word === 'pwd') return previous !== undefined && previous !== 'old';
  return false;
};

const decide = (name: string): boolean => {
  if (name === '_auth') return true;
  const words = wordsOf(name);
  const last = words.at(-1);
  if (last === undefined || neutralEnd.has(last)) return false;
  return words.some((word, index) => isSecretWord(word, words[index - 1]));
};

/** Keys repeat endlessly, so the answer for a name is kept; the memory is bounded. */
const decided = new Map<string, boolean>();

/** Whether a value of this name is a secret. */
export const isSecretName = (name: string): boolean => {
  const known = decided.get(name);
  if (known !== undefined) return known;
  const answer = decide(name);
  if (decided.size >= 4_096) decided.clear();
  if (name.length <= 64) decided.set(name, answer);
  return answer;
};

/** Whether a leaf of this name inside a secret object (`credential: { name, namespace, … }`) may stay. */
export const isNeutralName = (name: string): boolean => {
  const last = wordsOf(name).at(-1);
  return last !== undefined && neutralEnd.has(last);
};

/** Whether a number under this secret name is more likely an amount than a secret. */
export const isAmountName = (name: string): boolean => /tokens?$/i.test(name);
