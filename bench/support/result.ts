/** What a bench has measured, kept as it was measured. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../results', import.meta.url));

/** Writes `bench/results/NAME.json`: the figures, and the machine that they are of. */
export async function writeResult(name: string, figures: object): Promise<void> {
  const [cpu] = cpus();
  const machine = {
    ...{ cpu: cpu?.model.trim() ?? '', cpus: cpus().length, memoryGiB: Math.round(totalmem() / 1024 ** 3) },
    ...{ kernel: release().split('.', 2).join('.'), node: process.version },
  };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify({ machine, ...figures }, null, 2)}\n`);
}
