// What is read while a nats-server is looked for: versions, apt's configuration, checksum lists, names of archives.
import { describe, expect, test } from 'vitest';
import {
  distributionOf,
  mainArchive,
  parseListFile,
  parseSourcesFile,
  renderSource,
} from '#libs/broker/apt-sources.ts';
import { archiveName, findChecksum } from '#libs/broker/sources/release-archive.ts';
import { compareVersions, isNewEnough, parseVersion } from '#libs/broker/version.ts';

describe('versions', () => {
  test.each([
    ['nats-server: v2.15.1', '2.15.1'],
    ['nats-server_2.15.1-1_amd64.deb', '2.15.1'],
    ['nats-server: v2.14.0-RC.2', '2.14.0'],
    ['bash: command not found', undefined],
  ])('%s', (text, version) => {
    expect(parseVersion(text)).toBe(version);
  });

  test('are ordered by number and not by letter', () => {
    expect(compareVersions('2.9.10', '2.14.0')).toBeLessThan(0);
    expect(compareVersions('2.15.1', '2.15.1')).toBe(0);
    expect(isNewEnough('2.14.0')).toBe(true);
    expect(isNewEnough('2.13.9')).toBe(false);
    expect(isNewEnough('3.0.0')).toBe(true);
  });
});

describe('the sources of apt', () => {
  test('one-line files: options, comments and source code packages', () => {
    const text = `# main
deb http://mirror.example/debian bookworm main contrib # the usual
deb-src http://mirror.example/debian bookworm main
  deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://mirror.example/debian bookworm-updates main
# deb http://off.example/debian bookworm main
`;
    expect(parseListFile(text)).toEqual([
      {
        uri: 'http://mirror.example/debian',
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        signedBy: undefined,
      },
      {
        uri: 'https://mirror.example/debian',
        suites: ['bookworm-updates'],
        components: ['main'],
        signedBy: '/usr/share/keyrings/x.gpg',
      },
    ]);
  });

  test('paragraph files: several addresses, disabled paragraphs, a key in the field itself', () => {
    const text = `Types: deb deb-src
# a comment
URIs: http://a.example/debian http://b.example/debian
Suites: trixie
 trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main
`;
    const sources = parseSourcesFile(text);
    expect(sources.map(({ uri }) => uri)).toEqual(['http://a.example/debian', 'http://b.example/debian']);
    expect(sources[0]).toMatchObject({ suites: ['trixie', 'trixie-updates'], components: ['main'] });
    expect(sources[0]?.signedBy).toBe(
      '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----',
    );
  });

  test('are written so that they read the same', () => {
    for (const signedBy of [
      undefined,
      '/usr/share/keyrings/x.gpg',
      '-----BEGIN-----\n\nabc\n-----END-----',
    ]) {
      const source = { uri: 'http://a.example/', suites: ['sid'], components: ['main'], signedBy };
      expect(parseSourcesFile(renderSource(source))).toEqual([source]);
    }
  });

  test('the main archive is that of the own release, not security updates or a third party', () => {
    const debian = distributionOf('PRETTY_NAME="Debian"\nID=debian\nVERSION_CODENAME=bookworm\n');
    const sources = parseListFile(`deb http://security.example/ bookworm-security main
deb http://third.example/apt bookworm-pgdg main
deb http://docker.example/ bookworm stable
deb http://mirror.example/debian bookworm main
`);
    expect(debian).toMatchObject({ newestSuite: 'sid', component: 'main' });
    expect(debian && mainArchive(sources, debian)?.uri).toBe('http://mirror.example/debian');
  });

  test('Ubuntu has its newest suite in another component, and other systems have none', () => {
    expect(distributionOf('ID=ubuntu\nVERSION_CODENAME=noble\n')).toMatchObject({
      newestSuite: 'devel',
      component: 'universe',
    });
    expect(distributionOf('ID="fedora"\n')).toBeUndefined();
    expect(distributionOf('')).toBeUndefined();
  });
});

describe('release archives', () => {
  test('exist for Linux and macOS on two processors', () => {
    expect(archiveName('linux', 'x64')).toMatch(/^nats-server-v[\d.]+-linux-amd64$/);
    expect(archiveName('darwin', 'arm64')).toMatch(/-darwin-arm64$/);
    expect(archiveName('linux', 'riscv64')).toBeUndefined();
    expect(archiveName('win32', 'x64')).toBeUndefined();
  });

  test('are found in a list of checksums by their whole name', () => {
    const sum = 'a'.repeat(64);
    const list = `${'b'.repeat(64)}  x-linux-amd64.tar.gz.sbom\n${sum}  x-linux-amd64.tar.gz\n`;
    expect(findChecksum(list, 'x-linux-amd64.tar.gz')).toBe(sum);
    expect(findChecksum(`${sum} *./x.tar.gz\n`, 'x.tar.gz')).toBe(sum);
    expect(findChecksum(list, 'linux-amd64.tar.gz')).toBeUndefined();
    expect(findChecksum('<html>not found</html>', 'x.tar.gz')).toBeUndefined();
  });
});
