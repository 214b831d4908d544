// What the redactor takes out of texts and what it leaves, by shape and by name.
import { describe, expect, test } from 'vitest';
import { isSecretName } from '#libs/redaction/names.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';

const redactor = createRedactor();
const text = (input: string): string => redactor.text(input).value;

/** Secrets are built from parts, so that no scanner takes this file for a leak. */
const glue = (...parts: readonly string[]): string => parts.join('');

const keyHeader = glue('-----BEGIN ', 'PRIVATE KEY-----');

const fake = {
  aws: glue('AKIA', 'IOSFODNN7EXAMPLE'),
  github: glue('ghp_', 'abcdefghijklmnopqrstuvwxyz0123456789'),
  githubPat: glue('github_pat_', '11ABCDEFG0abcdefghijkl_0123456789'),
  anthropic: glue('sk-ant-', 'api03-abcdefghijklmnop0123'),
  openai: glue('sk-proj-', 'abcdefghij0123456789abcdef'),
  slack: glue('xoxb-', '123456789012-abcdefghijkl'),
  npm: glue('npm_', 'abcdefghijklmnopqrstuvwxyz0123456789'),
  google: glue('AIza', 'SyA0123456789abcdefghijklmnopqrstuvw'),
  gitlab: glue('glpat-', 'abcdefghij0123456789'),
  stripe: glue('sk_live_', 'abcdefghij0123456789'),
  huggingface: glue('hf_', 'abcdefghijklmnopqrstuvwxyzABCDEFGH'),
  nats: glue('SU', 'A'.repeat(56)),
  jwt: glue(
    'eyJhbGciOiJIUzI1NiJ9.',
    'eyJzdWIiOiIxMjM0NTY3ODkwIn0',
    '.',
    'dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U',
  ),
} as const;

describe('values by their shape', () => {
  const shapes = [
    ['aws', fake.aws],
    ['github', fake.github],
    ['github', fake.githubPat],
    ['anthropic', fake.anthropic],
    ['openai', fake.openai],
    ['slack', fake.slack],
    ['npm', fake.npm],
    ['google', fake.google],
    ['gitlab', fake.gitlab],
    ['stripe', fake.stripe],
    ['huggingface', fake.huggingface],
    ['nats', fake.nats],
    ['jwt', fake.jwt],
  ] as const;

  test.each(shapes)('a value of shape %s is marked wherever it stands', (rule, value) => {
    for (const [before, after] of [
      ['', ''],
      ['before ', ' after'],
      ['(', ')'],
      ['"', '",'],
      ['=', '\n'],
    ]) {
      expect(text(`${before}${value}${after}`)).toBe(`${before}[redacted:${rule}]${after}`);
    }
  });

  test('a prefix inside a longer word is no token', () => {
    for (const harmless of [
      'the task-runner-with-a-long-name-0123456789',
      `x${fake.aws}`,
      'sk-learn-is-a-library-for-machines',
      'ghp_short',
      'eyJub3Q.a.jwt',
    ]) {
      expect(text(harmless)).toBe(harmless);
    }
  });

  test('a private key block goes as a whole, a public one stays', () => {
    const block = (label: string): string =>
      `-----BEGIN ${label}-----\nMIIEowIBAAKC\nabc==\n-----END ${label}-----`;
    for (const label of [
      'PRIVATE KEY',
      'RSA PRIVATE KEY',
      'OPENSSH PRIVATE KEY',
      'USER NKEY SEED',
      'NATS USER JWT',
    ]) {
      expect(text(`a\n${block(label)}\nb`)).toBe('a\n[redacted:pem]\nb');
    }
    expect(text(JSON.stringify(block('EC PRIVATE KEY')))).toBe('"[redacted:pem]"');
    expect(text(block('CERTIFICATE'))).toBe(block('CERTIFICATE'));
  });

  test('a private key that is cut off goes as far as it looks like one', () => {
    expect(text(`${keyHeader}\nMIIEvgIBADANBgkqhkiG9w0B`)).toBe('[redacted:pem]');
    expect(text(`the line ${keyHeader} opens a key`)).toBe(`the line ${keyHeader} opens a key`);
  });

  test('the user part of a URL goes, the host stays', () => {
    expect(text('nats://u:p@host:4222/x')).toBe('nats://[redacted:userinfo]@host:4222/x');
    expect(text('https://user:p@ss@host/x')).toBe('https://[redacted:userinfo]@host/x');
    expect(text('https://t0ken@github.com/a/b')).toBe('https://[redacted:userinfo]@github.com/a/b');
    expect(text('ssh://git@github.com/a/b')).toBe('ssh://git@github.com/a/b');
    expect(text('https://example.com/@scope/package')).toBe('https://example.com/@scope/package');
  });

  test('a bearer token goes, talk about bearers stays', () => {
    expect(text('curl -H "X: Bearer abcdef0123"')).toBe('curl -H "X: Bearer [redacted:bearer]"');
    expect(text('the bearer responsible for it')).toBe('the bearer responsible for it');
  });
});

describe('values of secret names in text', () => {
  test.each([
    ['export DB_PASSWORD=abc,def && run', 'export DB_PASSWORD=[redacted:assignment] && run'],
    ["API_KEY='abc def'", "API_KEY='[redacted:assignment]'"],
    ['{"password":"x","user":"y"}', '{"password":"[redacted:assignment]","user":"y"}'],
    ['say "{\\"token\\":\\"a\\\\\\"b\\"}"', 'say "{\\"token\\":\\"[redacted:assignment]\\"}"'],
    [
      'run --api-key abc --password hunter2 -v',
      'run --api-key [redacted:assignment] --password [redacted:assignment] -v',
    ],
    ['run --token=abc', 'run --token=[redacted:assignment]'],
    ['GET /x?token=abc123&page=2', 'GET /x?token=[redacted:assignment]&page=2'],
    ['Authorization: Basic dXNlcjpwYXNz', 'Authorization: [redacted:assignment]'],
    ['Cookie: sid=abc; theme=dark\nHost: x', 'Cookie: [redacted:assignment]\nHost: x'],
    ['password: correcthorse\n', 'password: [redacted:assignment]\n'],
    ['spring.datasource.password=abc', 'spring.datasource.password=[redacted:assignment]'],
    ['client_secret = "abc"', 'client_secret = "[redacted:assignment]"'],
    [':password => "abc"', ':password => "[redacted:assignment]"'],
    ['//packages.example/:_authToken=abcdef', '//packages.example/:_authToken=[redacted:assignment]'],
    [
      'aws_secret_access_key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      'aws_secret_access_key: [redacted:assignment]',
    ],
  ])('%j becomes %j', (input, output) => {
    expect(text(input)).toBe(output);
  });

  test.each([
    'inputTokens: 512, maxTokens=100, token_count=5, "tokens": 12',
    'PWD=/srv/x OLDPWD=/srv/y',
    'const token = await getToken();',
    'if (token === undefined) return token => token;',
    'interface A { password: string; token?: string; secret: Secret }',
    'const schema = { password: z.string(), apiKey: process.env.API_KEY };',
    'the secret: nobody knows it',
    'curl -H "Authorization: Bearer $TOKEN" --token=${TOKEN} --password <password>',
    'git config credential.helper store',
    'DB_PASSWORD_FILE=/run/secrets/db',
    'passwordless login, tokenizer, monkey=1, keyboard: x',
  ])('%j stays as it is', (input) => {
    const result = redactor.text(input);
    expect(result.value).toBe(input);
    expect(result.found).toBe(0);
  });
});

describe('names', () => {
  test.each([
    'password',
    'db_password',
    'DB_PASSWORD',
    'dbPassword',
    'clientSecret',
    'secret',
    'apiKey',
    'api-key',
    'APIKey',
    'X-API-Key',
    'authorization',
    'Proxy-Authorization',
    'set-cookie',
    'accessToken',
    'access_tokens',
    'token',
    'privateKey',
    'AWS_SECRET_ACCESS_KEY',
    'credentials',
    '_auth',
    'ghToken',
    'db_pwd',
  ])('%s is a secret name', (name) => {
    expect(isSecretName(name)).toBe(true);
  });

  test.each([
    'tokens',
    'maxTokens',
    'inputTokens',
    'tokenCount',
    'token_type',
    'tokenBudget',
    'nextPageToken',
    'passwordFile',
    'secretRef',
    'credentialName',
    'publicKey',
    'key',
    'keyId',
    'apiKeyId',
    'PWD',
    'sessionId',
    'cookiePath',
    'author',
    'secretary',
    '',
  ])('%s is none', (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});
