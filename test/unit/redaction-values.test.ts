// What the redactor does to JSON values, known values and bodies, and what it says about it.
import { describe, expect, test } from 'vitest';
import { secretValuesOf } from '#libs/redaction/environment.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';

const redactor = createRedactor();

/** Secrets are built from parts, so that no scanner takes this file for a leak. */
const glue = (...parts: readonly string[]): string => parts.join('');

const fake = {
  aws: glue('AKIA', 'IOSFODNN7EXAMPLE'),
  github: glue('ghp_', 'abcdefghijklmnopqrstuvwxyz0123456789'),
} as const;

describe('JSON values', () => {
  test('what stands under a secret name is marked, and the structure is kept', () => {
    const { value, found, byRule } = redactor.value({
      password: 'x',
      secret: 5,
      token: 5,
      tokens: 7,
      enabled: true,
      apiKey: null,
      empty: { password: '' },
      credential: { name: 'deploy', namespace: 'ci', value: 'v', nested: ['a', { b: 'c' }] },
    });
    expect(value).toEqual({
      password: '[redacted:named]',
      secret: '[redacted:named]',
      token: 5,
      tokens: 7,
      enabled: true,
      apiKey: null,
      empty: { password: '' },
      credential: {
        name: 'deploy',
        namespace: 'ci',
        value: '[redacted:named]',
        nested: ['[redacted:named]', { b: '[redacted:named]' }],
      },
    });
    expect(found).toBe(5);
    expect(byRule).toEqual({ named: 5 });
  });

  test('arguments after a secret flag and values of name-value pairs are secret', () => {
    const { value } = redactor.value({
      argv: ['run', '--password', 'x', '--token', '-v', '--token=y'],
      env: [
        { name: 'DB_PASSWORD', value: 'q' },
        { name: 'HOME', value: '/srv' },
      ],
    });
    expect(value).toEqual({
      argv: ['run', '--password', '[redacted:named]', '--token', '-v', '--token=[redacted:assignment]'],
      env: [
        { name: 'DB_PASSWORD', value: '[redacted:named]' },
        { name: 'HOME', value: '/srv' },
      ],
    });
  });

  test('a secret that is a key is marked too, and two of them stay two', () => {
    const { value, found } = redactor.value({ a: 0, [fake.github]: 1, [`${fake.github}9`]: 2, z: 3 });
    expect(value).toEqual({ a: 0, '[redacted:github]': 1, '[redacted:github]#2': 2, z: 3 });
    expect(found).toBe(2);
  });

  test('a value without a secret is the very same value', () => {
    const value = { a: [1, 'two', { three: null }], usage: { inputTokens: 3 } };
    expect(redactor.value(value)).toEqual({ value, found: 0, byRule: {} });
    expect(redactor.value(value).value).toBe(value);
  });

  test('a key called __proto__ stays an ordinary key', () => {
    const value: unknown = JSON.parse(`{"__proto__":{"password":"x"},"a":"${fake.aws}"}`);
    expect(JSON.stringify(redactor.value(value).value)).toBe(
      '{"__proto__":{"password":"[redacted:named]"},"a":"[redacted:aws]"}',
    );
  });

  test('what is deeper than anything of ours is cut off instead of overflowing the stack', () => {
    let value: unknown = 'bottom';
    for (let depth = 0; depth < 100_000; depth += 1) value = [value];
    expect(redactor.value(value).byRule).toEqual({ depth: 1 });
  });
});

describe('known values', () => {
  const known = createRedactor({
    literals: ['s3cr3t/value+1', 'short', 'redacted:named', 'correcthorsebattery'],
  });

  test('a known secret is found in the forms it takes', () => {
    expect(known.text('a s3cr3t/value+1 b').value).toBe('a [redacted:known] b');
    expect(known.text(`a ${encodeURIComponent('s3cr3t/value+1')} b`).value).toBe('a [redacted:known] b');
    expect(known.text(`a ${Buffer.from('s3cr3t/value+1').toString('base64')} b`).value).toBe(
      'a [redacted:known]= b',
    );
    expect(known.text('say correcthorsebattery').value).toBe('say [redacted:known]');
  });

  test('one that is too short to be told from words, or is part of a marker, is not looked for', () => {
    expect(known.text('a short word').found).toBe(0);
    expect(known.value({ password: 'x' }).value).toEqual({ password: '[redacted:named]' });
  });
});

describe('the secrets of an environment', () => {
  test('are the values of its secret-named variables, as far as they can be told from words', () => {
    expect(
      secretValuesOf({
        ANTHROPIC_API_KEY: 'a-value-1',
        GITHUB_TOKEN: 'b-value-2',
        DB_PASSWORD: 'short',
        DB_PASSWORD_FILE: '/run/secrets/db',
        API_TOKEN: '/run/secrets/token',
        MAX_TOKENS: '1000000000',
        HOME: '/srv/somewhere',
        CI_JOB_TOKEN: undefined,
      }),
    ).toEqual(['a-value-1', 'b-value-2']);
  });
});

describe('bodies', () => {
  const bytes = (body: string): Uint8Array => new TextEncoder().encode(body);
  const read = (body: Uint8Array): string => new TextDecoder().decode(body);

  test('a JSON body is redacted by name and shape', () => {
    const { value, found } = redactor.bytes(bytes(`{"a":{"password":"x"},"b":"${fake.aws}"}`));
    expect(read(value)).toBe('{"a":{"password":"[redacted:named]"},"b":"[redacted:aws]"}');
    expect(found).toBe(2);
  });

  test('escapes hide nothing', () => {
    expect(read(redactor.bytes(bytes(`{"b":"\\u0041${fake.aws.slice(1)}"}`)).value)).toBe(
      '{"b":"[redacted:aws]"}',
    );
    expect(read(redactor.bytes(bytes('{"b":"https:\\/\\/u:p@h\\/"}')).value)).toBe(
      '{"b":"https://[redacted:userinfo]@h/"}',
    );
  });

  test('a body without a secret is the very same body, whatever its bytes', () => {
    for (const body of [bytes('{"a": 1.0, "tokens": 5}'), Uint8Array.of(0xff, 0xfe, 0x00), bytes('')]) {
      expect(redactor.bytes(body).value).toBe(body);
    }
  });

  test('a body that is no JSON is redacted as text', () => {
    expect(read(redactor.bytes(bytes('{"password":"hunter')).value)).toBe(
      '{"password":"[redacted:assignment]',
    );
  });
});
