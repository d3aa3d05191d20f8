/**
 * `npm run bench [NAME...]`: runs benches one after another, each in a process of its own; all of them unless named. On an idle machine:
 * whatever else it does is measured too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const known = (await readdir(folder))
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`bench: there is no ${unknown.join(', ')}; there are ${known.join(', ')}\n`);
  process.exit(2);
}
for (const name of asked.length > 0 ? asked : known) {
  process.stdout.write(`\n${name}\n`);
  const [code] = (await once(
    spawn(process.execPath, [`${folder}${name}.ts`], { stdio: 'inherit' }),
    'exit',
  )) as [number | null];
  if (code !== 0) process.exitCode = 1;
}
