/** The shape of the source: who may import whom, and what must not exist. */
import { describe, expect, it } from 'vitest';
import { files, imports, read } from './tree.ts';

const sources = files('src/**/*.ts');

/** For each folder of src (`.` for files beside them), the folders it may import from. Itself always. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  core: [],
  locks: ['core'],
  policy: ['core'],
  review: ['core', 'errors'],
  admission: ['core', 'locks', 'review'],
  certs: ['errors'],
  kube: ['core', 'errors'],
  election: ['core', 'kube', 'clock', 'errors'],
  server: ['core', 'admission', 'review', 'clock', 'errors'],
  'read-api': ['core', 'policy', 'review', 'kube', 'server', 'locks-report', 'clock', 'errors'],
  sandbox: ['clock', 'errors'],
  replica: ['core', 'certs', 'election', 'kube', 'clock', 'errors'],
  guard: [
    'switch',
    'election',
    'replica',
    'certs',
    'core',
    'locks',
    'policy',
    'review',
    'admission',
    'kube',
    'server',
    'read-api',
    'clock',
    'config',
    'errors',
  ],
  explain: ['core', 'policy', 'switch'],
  switch: ['core', 'policy', 'kube'],
  'certs-report': ['core', 'certs', 'replica', 'kube'],
  yaml: ['policy'],
  lint: ['core', 'policy', 'yaml'],
  suite: ['core', 'locks', 'policy', 'yaml', 'admission', 'review', 'kube', 'clock', 'errors'],
  'review-report': ['core', 'review', 'certs-report'],
  'audit-log': ['core', 'locks'],
  preflight: ['core', 'locks', 'policy', 'admission', 'audit-log', 'review', 'suite'],
  replay: ['core', 'locks', 'policy', 'admission', 'audit-log', 'review', 'suite', 'preflight', 'yaml'],
  'locks-report': ['core', 'locks', 'policy', 'audit-log', 'review', 'preflight'],
  scene: ['core', 'kube', 'sandbox', 'guard', 'review', 'clock', 'config', 'errors'],
  cli: [
    'version',
    'config',
    'errors',
    'guard',
    'sandbox',
    'scene',
    'review',
    'clock',
    'kube',
    'core',
    'locks',
    'policy',
    'explain',
    'switch',
    'certs',
    'certs-report',
    'replica',
    'lint',
    'suite',
    'audit-log',
    'preflight',
    'replay',
    'locks-report',
    'review-report',
    'read-api',
  ],
  clock: ['core'],
  config: ['certs', 'election', 'policy', 'errors', 'review'],
  errors: [],
  version: [],
  main: ['cli', 'kube', 'errors', 'version'],
};

/** `src/core/x.ts` is of `core`, `src/clock.ts` of `clock`. */
function part(path: string): string {
  return path.split('/')[1]?.replace(/\.ts$/, '') ?? '';
}

describe('the source', () => {
  it('is there', () => {
    expect(sources.length).toBeGreaterThan(40);
  });

  it.each(sources)('%s imports only what its layer may', (path) => {
    const may = allowed[part(path)];
    expect(may, `a layer for ${path}`).toBeDefined();
    const ours = imports(path).filter((each) => each.startsWith('src/'));
    const wrong = ours.filter((each) => part(each) !== part(path) && may?.includes(part(each)) !== true);
    expect(wrong).toEqual([]);
  });

  it('has no import cycles, not even of types', () => {
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      state.set(path, 'open');
      for (const next of imports(path)) if (next.startsWith('src/')) visit(next, [...trail, path]);
      state.set(path, 'done');
    };
    for (const path of sources) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('keeps the core free of anything but itself', () => {
    for (const path of files('src/core/**/*.ts')) {
      expect(imports(path).filter((each) => !each.startsWith('src/core/'))).toEqual([]);
    }
  });

  it('has no barrels and no places for leftovers', () => {
    const leftovers = sources.filter((path) =>
      /(^|\/)(index|utils?|helpers?|common|misc|manager)\.ts$/.test(path),
    );
    expect(leftovers).toEqual([]);
  });

  it('has no loose ends', () => {
    const loose = [...sources, ...files('test/**/*.ts')].filter((path) =>
      /\b(TODO|FIXME|XXX)\b/.test(read(path)),
    );
    expect(loose.filter((path) => path !== 'test/style/structure.test.ts')).toEqual([]);
  });

  it('opens every file of the core with what it is about', () => {
    for (const path of files('src/core/**/*.ts')) expect(read(path).startsWith('/**\n'), path).toBe(true);
  });
});
