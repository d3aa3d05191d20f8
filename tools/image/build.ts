/**
 * `npm run image`: builds the image with Docker. Variables: `IMAGE`, its tag; `BASE` and `BUILDER`, other images than the
 * official ones; `PROGRAM=prebuilt` to build the program here and not in a container, which then needs no network, nor another builder
 * than the base; `SOURCE`, the address of the repository for the label. Without them the Dockerfile's defaults hold.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { root } from './bundle.ts';
import { buildArguments, buildProgram, imageTag, manifest, programFolder } from './program.ts';

/** The commit, or nothing where this is no checkout. */
function revision(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

const { BASE, PROGRAM, SOURCE } = process.env;
const isPrebuilt = PROGRAM === 'prebuilt';
if (isPrebuilt) await buildProgram(join(root, programFolder));
const BUILDER = process.env['BUILDER'] ?? (isPrebuilt ? BASE : undefined);

const settings = { BASE, BUILDER, PROGRAM, SOURCE, VERSION: manifest().version, REVISION: revision() };
const { status, error } = spawnSync(
  'docker',
  ['build', '--tag', imageTag(), ...buildArguments(settings), '.'],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
if (error !== undefined) console.error(`docker cannot be run: ${error.message}`);
process.exitCode = status ?? 1;
