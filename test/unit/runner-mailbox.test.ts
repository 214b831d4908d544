// The agent's mail on this machine: stored with its report, known when it comes again, bounded, kept over a restart.
import { describe, expect, test } from 'vitest';
import { incoming, mailWorld, newId } from '#test/support/mail-rig.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const getRig = useOutboxRig();

const turn = () => ({
  runId: `run_${newId('turn').slice(4)}`,
  sessionId: newId('session'),
  turnId: newId('turn'),
  fence: 3,
});
const idsOf = (heads: readonly { readonly messageId: string }[]): string[] =>
  heads.map(({ messageId }) => messageId);

describe('a message', () => {
  test('is on disk together with the report that it is delivered, or neither', async () => {
    const rig = getRig();
    rig.peer.mode = 'away';
    const { mailbox, outbox } = mailWorld(rig);
    const mail = incoming({ subject: 'About', body: 'Look' });
    expect(await mailbox.receive(mail)).toBe('stored');
    expect(outbox.status().pending).toBe(1);
    expect(outbox.note(`mail-body:${mail.messageId}`)).toBe('Look');
    const failing = mailWorld(rig, {
      outbox: { ...outbox, commit: () => Promise.reject(new Error('disk')) },
    });
    const other = incoming();
    await expect(failing.mailbox.receive(other)).rejects.toThrow('disk');
    expect(failing.mailbox.head(other.messageId)).toBeUndefined();
  });

  test('that comes again changes nothing, while it is unread, after its turn, and after a restart', async () => {
    const rig = getRig();
    const first = mailWorld(rig);
    const mail = incoming();
    await first.mailbox.receive(mail);
    expect(await first.mailbox.receive(mail)).toBe('known');
    const { change, stored } = first.mailbox.injected([mail.messageId], turn());
    await first.outbox.commit(change);
    stored();
    expect(await first.mailbox.receive(mail)).toBe('known');
    expect(first.mailbox.unread()).toEqual([]);
    await rig.closeNow(first.outbox);
    const second = mailWorld(rig, { outbox: rig.start() });
    expect(await second.mailbox.receive(mail)).toBe('known');
    expect(second.mailbox.unread()).toEqual([]);
  });

  test('keeps its place in the order of arrival over a restart', async () => {
    const rig = getRig();
    const first = mailWorld(rig);
    const mails = [incoming({ sentAt: 30 }), incoming({ sentAt: 10 }), incoming({ sentAt: 20 })];
    for (const mail of mails) await first.mailbox.receive(mail);
    await rig.closeNow(first.outbox);
    const second = mailWorld(rig, { outbox: rig.start() });
    await second.mailbox.receive(incoming({ messageId: newId('message') }));
    expect(idsOf(second.mailbox.unread()).slice(0, 3)).toEqual(idsOf(mails));
  });

  test('reaches the disk without the secrets of this machine', async () => {
    const { mailbox, outbox } = mailWorld(getRig());
    const mail = incoming({ subject: 'key correct-horse-battery', body: 'use correct-horse-battery' });
    await mailbox.receive(mail);
    expect(JSON.stringify([...outbox.notes()])).not.toContain('correct-horse-battery');
    expect(mailbox.body(mail.messageId)).toContain('use ');
  });

  test('that cannot be read back is named, and the others are there', async () => {
    const rig = getRig();
    const first = mailWorld(rig);
    await first.receive(incoming());
    await first.outbox.commit({ notes: [{ key: 'mail:msg_broken', value: { state: 'unread' } }] });
    const second = mailWorld(rig, { outbox: first.outbox });
    expect(second.mailbox.unreadable).toEqual(['mail:msg_broken']);
    expect(second.mailbox.unread()).toHaveLength(1);
  });
});

describe('a full mailbox', () => {
  test('leaves messages where they come from until some are read', async () => {
    const { mailbox, outbox } = mailWorld(getRig(), { limits: { unread: 2 } });
    const mails = [incoming(), incoming(), incoming()];
    await mailbox.receive(mails[0] ?? incoming());
    await mailbox.receive(mails[1] ?? incoming());
    const third = mails[2] ?? incoming();
    expect(faultCode(await mailbox.receive(third).catch((error: unknown) => error))).toBe('MAILBOX_FULL');
    const { change, stored } = mailbox.injected([mails[0]?.messageId ?? ''], turn());
    await outbox.commit(change);
    stored();
    expect(await mailbox.receive(third)).toBe('stored');
  });

  test('is full by bytes as well, and still takes one message of any size', async () => {
    const { mailbox } = mailWorld(getRig(), { limits: { unreadBytes: 100 } });
    await mailbox.receive(incoming({ body: 'x'.repeat(1000) }));
    await expect(mailbox.receive(incoming())).rejects.toMatchObject({ code: 'MAILBOX_FULL', retry: 'later' });
  });

  test('forgets the texts of the oldest that were read, and then them', async () => {
    const { mailbox, outbox } = mailWorld(getRig(), { limits: { readTexts: 2, known: 3 } });
    const mails = Array.from({ length: 5 }, (_, at) => incoming({ body: `text ${at}` }));
    for (const mail of mails) {
      await mailbox.receive(mail);
      const { change, stored } = mailbox.injected([mail.messageId], turn());
      await outbox.commit(change);
      stored();
    }
    expect(mails.map(({ messageId }) => mailbox.body(messageId))).toEqual([
      undefined,
      undefined,
      undefined,
      'text 3',
      'text 4',
    ]);
    expect(mails.map(({ messageId }) => mailbox.head(messageId)?.state)).toEqual([
      undefined,
      undefined,
      'injected',
      'injected',
      'injected',
    ]);
    expect([...outbox.notes('mail')]).toHaveLength(5);
  });

  test('holds the heads of its messages in memory, and none of their texts', async () => {
    const rig = getRig();
    const { mailbox, outbox } = mailWorld(rig);
    rig.peer.mode = 'away';
    const body = 'x'.repeat(65_536);
    await Promise.all(Array.from({ length: 100 }, () => mailbox.receive(incoming({ body }))));
    expect(JSON.stringify(mailbox.unread()).length).toBeLessThan(100_000);
    expect(mailWorld(rig, { outbox }).mailbox.unreadCount).toBe(100);
  });
});

describe('what a turn brought', () => {
  test('WK-15 RO-09 is known by the turn, so that every reply and every word of it leads back to its messages', async () => {
    const { mailbox, outbox } = mailWorld(getRig());
    const [a, b, c] = [incoming(), incoming(), incoming()];
    for (const mail of [a, b, c]) await mailbox.receive(mail);
    const first = turn();
    for (const [ids, at] of [
      [[a.messageId, c.messageId], first],
      [[b.messageId], turn()],
    ] as const) {
      const { change, stored } = mailbox.injected(ids, at);
      await outbox.commit(change);
      stored();
    }
    expect(idsOf(mailbox.broughtBy(first.turnId))).toEqual([a.messageId, c.messageId]);
    expect(mailbox.head(b.messageId)?.turnId).not.toBe(first.turnId);
  });

  test('WK-13 is not brought again when the agent has replied before', async () => {
    const { mailbox, outbox } = mailWorld(getRig());
    const [a, b] = [incoming({ needsReply: true }), incoming()];
    for (const mail of [a, b]) await mailbox.receive(mail);
    const { change, stored } = mailbox.answered(a.messageId);
    await outbox.commit(change);
    stored();
    expect(idsOf(mailbox.unread())).toEqual([b.messageId]);
    expect(mailbox.injected([a.messageId, b.messageId], turn()).change.records).toHaveLength(1);
    expect(mailbox.answered(newId('message')).change).toEqual({ records: [], notes: [] });
  });
});
