/** The images of a kind cluster: lockwarden from this checkout, a second version of it to upgrade to, and an election client. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import { buildArguments, buildProgram, manifest, programFolder } from '../image/program.ts';
import { root, run, type Engine } from './engine.ts';
import { stateFolder } from './state.ts';

/** Their names. */
export interface Images {
  readonly lockwarden: string;
  /** The same program under another version label: what an upgrade rolls out. */
  readonly next: string;
  /** client-go's elector. */
  readonly elector: string;
}

export const images: Images = {
  lockwarden: 'localhost/lockwarden:current',
  next: 'localhost/lockwarden:next',
  elector: 'localhost/lockwarden-elector:current',
};

/** Builds them. The program is built here and copied in, since a container may have no way out. */
export async function buildImages({ env, base }: Engine): Promise<void> {
  await buildProgram(join(root, programFolder));
  const { version } = manifest();
  const bases = base === null ? {} : { BASE: base, BUILDER: env['BUILDER'] ?? base };
  for (const [image, label] of [
    [images.lockwarden, version],
    [images.next, `${version}-next`],
  ] as const) {
    const args = buildArguments({ PROGRAM: 'prebuilt', VERSION: label, ...bases });
    await run('docker', ['build', ...args, '--tag', image, root], env);
  }
  await buildElector(env);
}

/** A static binary and nothing else. */
async function buildElector(env: NodeJS.ProcessEnv): Promise<void> {
  const moduleDir = join(root, 'test/client-go');
  const binary = await ensureGoProgram({ name: 'elector', moduleDir, packagePath: './elector' }, { env });
  const context = join(stateFolder, 'elector');
  await mkdir(context, { recursive: true });
  await copyFile(binary, join(context, 'elector'));
  await writeFile(
    join(context, 'Dockerfile'),
    'FROM scratch\nCOPY elector /elector\nUSER 65532:65532\nENTRYPOINT ["/elector"]\n',
  );
  await run('docker', ['build', '--tag', images.elector, context], env);
}
