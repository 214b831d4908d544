// Mail as entries of MESSAGES and back. Ids are derived by the mail service, so that a repeat is the same entry.
import { decodeWith, type EntryLike, type EntryMeta, type EntryParts, type Reading } from './entry.ts';
import { MAIL, mailboxOf, type MailData, type MailName } from './mail.ts';
import { typedCodec, type Named } from './typed-codec.ts';

/** What happened to a message, by its name; `data` follows from `name`. */
export type MailEvent = Named<typeof MAIL>;

const codec = typedCodec('msg', 'mail', MAIL);

/** The mail event name of a `ce-type`, or undefined when the type is not one known here. */
export const mailNameOf = codec.nameOf;

/** An entry for `fleet.<tenant>.<project>.msg.<p>.<recipient>.<name>`. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never). */
export const encodeMail = <Name extends MailName>(
  name: Name,
  data: MailData<Name>,
  meta: EntryMeta,
): EntryParts => codec.encode(mailboxOf(data.to), { name, data }, meta);

/** As {@link decodeMail}, for an entry that has been opened. */
export const readMail = codec.read;

/** Reads an entry of MESSAGES. `unknown` is an event of a newer version: keep it, go on. */
export const decodeMail = (entry: EntryLike): Reading<MailEvent> => decodeWith(entry, codec.read);
