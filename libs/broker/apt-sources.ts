// Reads apt's own configuration (one-line `.list` and deb822 `.sources`) to learn the machine's mirror. Pure: text in, data out.

/** One place packages come from. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Path of a keyring, or a whole armoured key; absent: apt's default keyrings. */
  readonly signedBy: string | undefined;
}

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '');

/** `deb [options] uri suite component…` lines. */
export const parseListFile = (text: string): readonly AptSource[] => {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    const [, options, uri, suite, components] = match ?? [];
    if (uri === undefined || suite === undefined) continue;
    const signedBy = words(options).find((option) => option.startsWith('signed-by='));
    sources.push({
      uri,
      suites: [suite],
      components: words(components),
      signedBy: signedBy?.slice('signed-by='.length),
    });
  }
  return sources;
};

/** One deb822 paragraph as fields; continuation lines are joined with newlines, a lone dot is an empty line. */
const parseParagraph = (text: string): ReadonlyMap<string, string> => {
  const fields = new Map<string, string>();
  let current = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    if (/^\s/.test(line)) {
      const continued = line.trim() === '.' ? '' : line.trim();
      fields.set(current, `${fields.get(current) ?? ''}\n${continued}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    current = line.slice(0, colon).toLowerCase();
    fields.set(current, line.slice(colon + 1).trim());
  }
  return fields;
};

/** Paragraphs of `Types:`, `URIs:`, `Suites:`, …; disabled ones and sources of source code are left out. */
export const parseSourcesFile = (text: string): readonly AptSource[] => {
  const sources: AptSource[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const fields = parseParagraph(paragraph);
    const isOff = /^(?:no|false|0)$/i.test(fields.get('enabled') ?? '');
    if (isOff || !words(fields.get('types')).includes('deb')) continue;
    const signedBy = fields.get('signed-by')?.trim();
    for (const uri of words(fields.get('uris'))) {
      sources.push({
        uri,
        suites: words(fields.get('suites')),
        components: words(fields.get('components')),
        signedBy: signedBy === '' ? undefined : signedBy,
      });
    }
  }
  return sources;
};

/** A source as a deb822 paragraph; a whole key is written as continuation lines, its empty lines as dots. */
export const renderSource = (source: AptSource): string => {
  const key = source.signedBy?.split('\n') ?? [];
  const signedBy =
    key.length > 1 ? ['', ...key.map((line) => ` ${line === '' ? '.' : line}`)] : [` ${key.join('')}`];
  return [
    'Types: deb',
    `URIs: ${source.uri}`,
    `Suites: ${source.suites.join(' ')}`,
    `Components: ${source.components.join(' ')}`,
    ...(key.length === 0 ? [] : [`Signed-By:${signedBy.join('\n')}`]),
    '',
  ].join('\n');
};

/** What a distribution calls its newest suite, and the component nats-server is in. */
export interface Distribution {
  readonly newestSuite: string;
  readonly component: string;
  /** Keyring to check signatures with where the machine's own source names none. */
  readonly keyring: string;
  /** Names under which the machine's own release is listed. */
  readonly ownSuites: readonly string[];
}

const DISTRIBUTIONS: ReadonlyMap<string, Omit<Distribution, 'ownSuites'>> = new Map([
  [
    'debian',
    { newestSuite: 'sid', component: 'main', keyring: 'usr/share/keyrings/debian-archive-keyring.gpg' },
  ],
  [
    'ubuntu',
    { newestSuite: 'devel', component: 'universe', keyring: 'usr/share/keyrings/ubuntu-archive-keyring.gpg' },
  ],
]);

const osField = (osRelease: string, field: string): string | undefined =>
  new RegExp(`^${field}="?([^"\n]+)"?$`, 'm').exec(osRelease)?.[1];

/** By the `ID` of an os-release file; undefined for every system that is neither Debian nor Ubuntu. */
export const distributionOf = (osRelease: string): Distribution | undefined => {
  const known = DISTRIBUTIONS.get(osField(osRelease, 'ID') ?? '');
  const codename = osField(osRelease, 'VERSION_CODENAME');
  const rolling = ['stable', 'testing', 'unstable', 'sid', 'devel'];
  return known && { ...known, ownSuites: codename === undefined ? rolling : [codename, ...rolling] };
};

/** The source of the distribution's main archive: not its security updates, not a third party's repository. */
export const mainArchive = (
  sources: readonly AptSource[],
  distribution: Distribution,
): AptSource | undefined =>
  sources.find(
    ({ suites, components }) =>
      components.includes('main') && suites.some((suite) => distribution.ownSuites.includes(suite)),
  );
