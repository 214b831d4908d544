// Refusals and faults as HTTP problems, and who may talk to the gateway.
import { describe, expect, test } from 'vitest';
import { Secret } from '#libs/config/secret.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { checkAccess, isLoopback } from '#services/gateway/access.ts';
import { problemOfFault, problemOfRejection } from '#services/gateway/problem.ts';
import { REJECTIONS, type RejectionCode } from '#streams/rejections.ts';

const STATUS_BY_CODE: Readonly<Record<RejectionCode, readonly [number, string]>> = {
  POLICY_UNKNOWN: [404, 'schema-invalid'],
  POLICY_VERSION_CONFLICT: [409, 'schema-invalid'],
  POLICY_VERSION_UNKNOWN: [404, 'schema-invalid'],
  POLICY_REMOVED: [409, 'schema-invalid'],
  POLICY_PAUSED: [409, 'schema-invalid'],
  POLICY_FAILED: [409, 'schema-invalid'],
  POLICY_INVALID: [400, 'schema-invalid'],
  POLICY_AGENT_TAKEN: [409, 'schema-invalid'],
  HOST_UNKNOWN: [404, 'schema-invalid'],
  HOST_RETIRED: [409, 'schema-invalid'],
  HOST_ONLINE: [409, 'schema-invalid'],
  HOST_ELSEWHERE: [409, 'schema-invalid'],
  AGENT_NAME_TAKEN: [409, 'schema-invalid'],
  CONTRACT_TOO_OLD: [409, 'schema-invalid'],
  RUN_UNKNOWN: [404, 'schema-invalid'],
  RUN_CONFLICTING_REQUEST: [409, 'schema-invalid'],
  RUN_CLAIMED: [409, 'runner-lease-conflict'],
  RUN_ENDED: [409, 'schema-invalid'],
  RUN_FENCED: [409, 'runner-lease-conflict'],
  RUN_NOT_CLAIMED: [409, 'runner-lease-conflict'],
  RUN_TURN_STARTED: [409, 'schema-invalid'],
  RUN_FOREIGN: [403, 'tenant-policy-denied'],
  RUN_CANCELLED: [409, 'cancelled'],
  RUN_WAITING: [409, 'runner-lease-conflict'],
  RUN_INSTRUCTION_OLD: [409, 'runner-lease-conflict'],
  RUN_NOT_RUNNING: [409, 'schema-invalid'],
  RUN_NOT_ENDED: [409, 'schema-invalid'],
  RUN_OF_TASK: [409, 'schema-invalid'],
  RUN_COMMAND_UNKNOWN: [404, 'schema-invalid'],
  RUN_COMMAND_CONFLICTING: [409, 'schema-invalid'],
  RUN_COMMAND_UNDER_WAY: [409, 'schema-invalid'],
  RUN_COMMAND_NOT_DUE: [409, 'schema-invalid'],
  RUN_COMMANDS_FULL: [409, 'schema-invalid'],
  APPROVAL_UNKNOWN: [404, 'schema-invalid'],
  APPROVAL_ANSWERED: [409, 'schema-invalid'],
  APPROVAL_CLOSED: [409, 'schema-invalid'],
  APPROVAL_OTHER_CALL: [409, 'schema-invalid'],
  APPROVAL_IDENTITY_NEEDED: [403, 'tenant-policy-denied'],
  APPROVAL_OWN_WORK: [403, 'tenant-policy-denied'],
  APPROVAL_ROLE_MISSING: [403, 'tenant-policy-denied'],
  APPROVAL_COUNTED: [409, 'schema-invalid'],
  APPROVAL_NOT_EDITABLE: [409, 'schema-invalid'],
  APPROVAL_TOO_MANY: [409, 'schema-invalid'],
  TASK_UNKNOWN: [404, 'schema-invalid'],
  TASK_CONFLICTING_REQUEST: [409, 'schema-invalid'],
  TASK_NOT_PENDING: [409, 'schema-invalid'],
  TASK_FOREIGN: [409, 'schema-invalid'],
  TASK_ATTEMPT_UNKNOWN: [409, 'schema-invalid'],
  TASK_ENDED: [409, 'schema-invalid'],
  TASK_CANCELLED: [409, 'cancelled'],
  TASK_COMPLETED: [409, 'schema-invalid'],
  TASK_NOT_ENDED: [409, 'schema-invalid'],
  ADMISSION_SUPERSEDED: [409, 'schema-invalid'],
  KEY_CONFLICTING_REQUEST: [409, 'schema-invalid'],
  AGENT_UNKNOWN: [404, 'schema-invalid'],
  RECIPIENT_UNKNOWN: [404, 'schema-invalid'],
  SENDER_UNKNOWN: [404, 'schema-invalid'],
  MESSAGE_UNKNOWN: [404, 'schema-invalid'],
  MESSAGE_FOREIGN: [403, 'tenant-policy-denied'],
  MESSAGE_CONFLICTING_REQUEST: [409, 'schema-invalid'],
  SESSION_FOREIGN: [403, 'tenant-policy-denied'],
  SESSION_OTHER_PROVIDER: [400, 'schema-invalid'],
  SESSION_STORAGE_CHANGED: [409, 'schema-invalid'],
  SESSION_ACTIVE: [409, 'schema-invalid'],
  SESSION_NOT_EXPIRED: [409, 'schema-invalid'],
  SESSION_UNKNOWN: [404, 'schema-invalid'],
  BOUNDARY_DENIED: [403, 'tenant-policy-denied'],
};

describe('a refusal', () => {
  test('has the status and the kind of its row in the error index, whatever its code', () => {
    const codes = Object.keys(REJECTIONS) as RejectionCode[];
    for (const code of codes) {
      const { status, body } = problemOfRejection(rejection(code, 'because'), 'req_1');
      expect([code, status, body.kind]).toEqual([code, ...STATUS_BY_CODE[code]]);
      expect(body).toMatchObject({
        status,
        code,
        detail: 'because',
        requestId: 'req_1',
        title: REJECTIONS[code].meaning,
      });
    }
    expect(codes.sort()).toEqual(Object.keys(STATUS_BY_CODE).sort());
  });
});

const fault = (code: string, retry: 'now' | 'later' | 'never', detail = {}): Fault =>
  new Fault({ code, retry, message: 'the secret cause', detail });

describe('a fault', () => {
  test('ER-10 that may pass is 503 and says when to try again', () => {
    for (const retry of ['now', 'later'] as const) {
      const { status, headers, body } = problemOfFault(fault('LOG_UNAVAILABLE', retry), 'r');
      expect([status, headers['retry-after'], body.kind]).toEqual([503, '1', 'infra-failed']);
    }
  });

  test('ER-10 of a stream or bucket that is not there is 503, too', () => {
    for (const code of ['LOG_MISSING', 'KV_MISSING']) {
      const { status, body } = problemOfFault(fault(code, 'never'), 'r');
      expect([status, body.kind, body.code]).toEqual([503, 'infra-failed', code]);
    }
  });

  test('that is broken here is 500 and does not show its cause', () => {
    for (const broken of [fault('LOG_REFUSED', 'never'), fault('UNEXPECTED_ERROR', 'later')]) {
      const { status, body } = problemOfFault(broken, 'r');
      expect(status).toBe(500);
      expect(JSON.stringify(body)).not.toContain('the secret cause');
      expect(body.code).toBe(broken.code);
    }
  });

  test('about the input lists every mistake', () => {
    const errors = [{ path: 'prompt', message: 'missing' }];
    const { status, body } = problemOfFault(fault('INPUT_INVALID', 'never', { errors }), 'r');
    expect([status, body.errors]).toEqual([400, errors]);
  });
});

describe('access', () => {
  const boundary = { tenant: 'local', project: 'main' };
  const rules = { host: '127.0.0.1', allowedHosts: ['fleet.test'], boundary, now: () => 1000 };
  const codeOf = (
    headers: Record<string, string>,
    given: Parameters<typeof checkAccess>[1],
    method = 'GET',
  ): string => {
    try {
      checkAccess(new Request('http://localhost/', { method, headers }), given);
      return 'ok';
    } catch (error) {
      return (error as Fault).code;
    }
  };

  test('on loopback is by loopback names and those that are allowed', () => {
    for (const host of [
      'localhost',
      'localhost:7710',
      '127.0.0.1:1',
      '127.1.2.3',
      '[::1]:7710',
      'fleet.test:80',
    ])
      expect([host, codeOf({ host }, rules)]).toEqual([host, 'ok']);
    for (const host of ['evil.test', 'localhost.evil.test', '127.0.0.1.evil.test', '10.0.0.1', ''])
      expect([host, codeOf({ host }, rules)]).toEqual([host, 'HOST_DENIED']);
  });

  test('on other addresses is by any name, and never from a page of another origin', () => {
    const open = { ...rules, host: '0.0.0.0', allowedHosts: [] };
    expect(codeOf({ host: 'fleet.example' }, open)).toBe('ok');
    expect(codeOf({ host: 'fleet.example', origin: 'https://fleet.example' }, open)).toBe('ok');
    expect(codeOf({ host: 'fleet.example', origin: 'https://evil.example' }, open)).toBe('HOST_DENIED');
    expect(codeOf({ host: 'fleet.example', origin: 'null' }, open)).toBe('HOST_DENIED');
    expect([isLoopback('0.0.0.0'), isLoopback('::1')]).toEqual([false, true]);
  });

  test('with a token is for those who have it', () => {
    const guarded = { ...rules, apiToken: new Secret('open-sesame') };
    const host = 'localhost';
    expect(codeOf({ host }, guarded)).toBe('TOKEN_REQUIRED');
    expect(codeOf({ host, authorization: 'Bearer wrong' }, guarded)).toBe('TOKEN_REQUIRED');
    expect(codeOf({ host, authorization: 'bearer open-sesame' }, guarded)).toBe('ok');
  });

  test('with the token of a viewer is for reading', () => {
    const guarded = { ...rules, apiToken: new Secret('open-sesame'), viewerToken: new Secret('peek') };
    const codes = (token: string) =>
      ['GET', 'HEAD', 'POST', 'DELETE'].map((method) =>
        codeOf({ host: 'localhost', authorization: `Bearer ${token}` }, guarded, method),
      );
    expect(codes('peek')).toEqual(['ok', 'ok', 'TOKEN_READS_ONLY', 'TOKEN_READS_ONLY']);
    expect(codes('open-sesame')).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(new Set(codes('pee'))).toEqual(new Set(['TOKEN_REQUIRED']));
  });
});
