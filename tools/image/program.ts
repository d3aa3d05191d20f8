/**
 * `npm run build:image`: writes everything of lockwarden that an image holds to build/image, ready to be copied. What is in the
 * folder depends on the checkout and the lock file alone, so it is the same whether it is made in a stage of the Dockerfile or outside.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { bundle, root } from './bundle.ts';
import { licencesOf } from './licences.ts';

/** Where the program goes, from the root. */
export const programFolder = 'build/image';

/** What the image is called: `IMAGE`, or after the version. */
export function imageTag(): string {
  return process.env['IMAGE'] ?? `lockwarden:${manifest().version}`;
}

/** Build arguments for the Dockerfile, as docker takes them; what is not given, or empty, is left to its defaults. */
export function buildArguments(settings: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : ['--build-arg', `${name}=${value}`],
  );
}

/** Writes the program into `folder`, which is emptied first. */
export async function buildProgram(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const metafile = await bundle(join(folder, 'bin'));
  writeFileSync(join(folder, 'THIRD_PARTY_LICENSES'), licencesOf(root, metafile));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`);
  writeFileSync(join(folder, 'sbom.cdx.json'), `${JSON.stringify(billOfMaterials(), null, 2)}\n`);
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  makeReadable(folder);
}

/** The program's package.json: what `lockwarden --version` reads, and what tells Node that these are modules. */
export function manifest(): {
  readonly name: string;
  readonly version: string;
  readonly [key: string]: unknown;
} {
  const text = readFileSync(join(root, 'package.json'), 'utf8');
  const { name, version, license } = JSON.parse(text) as Record<'name' | 'version' | 'license', string>;
  return { name, version, license, private: true, type: 'module' };
}

/** As far as it is touched here. SOURCE: https://cyclonedx.org/docs/1.5/json/ */
interface BillOfMaterials {
  readonly metadata: { readonly component: { name: string; readonly 'bom-ref': string } };
  components: { readonly 'bom-ref': string }[];
  dependencies: { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/**
 * npm's own list of what there is, in CycloneDX, reduced to what production depends on by the lock file. A time and a random number
 * are left out so that one checkout makes one folder, and the name is not that of the checkout's folder.
 * NB: `--omit dev` would leave out what a development dependency depends on too, such as commander, yaml and zod.
 */
function billOfMaterials(): BillOfMaterials {
  const args = ['sbom', '--sbom-format', 'cyclonedx'];
  const text = execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const bill = JSON.parse(text, (key, value: unknown) =>
    key === 'serialNumber' || key === 'timestamp' ? undefined : value,
  ) as BillOfMaterials;
  const production = productionRefs();
  const own = bill.metadata.component;
  own.name = manifest().name;
  bill.components = bill.components.filter((each) => production.has(each['bom-ref']));
  bill.dependencies = bill.dependencies
    .filter(({ ref }) => ref === own['bom-ref'] || production.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => production.has(each)) }));
  return bill;
}

/** `name@version` of each package that production needs. Optional is only what brings a Node to a checkout (tools/node). */
function productionRefs(): ReadonlySet<string> {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const needed = Object.entries(packages).filter(
    ([path, { dev, optional, devOptional }]) =>
      path.includes('node_modules/') && (dev ?? optional ?? devOptional) !== true,
  );
  return new Set(
    needed.map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version ?? ''}`),
  );
}

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

/** Whoever the container runs as may read it, whatever the umask of who built it. */
function makeReadable(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}

if (import.meta.main) await buildProgram(join(root, programFolder));
