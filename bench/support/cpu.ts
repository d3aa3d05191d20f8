/** How much of a processor others have used. */
import { readFile } from 'node:fs/promises';

import type { KubeClient } from '../../src/kube/client.ts';

/** LIMIT: what `getconf CLK_TCK` says on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** User and system time of a process since it began, in seconds, to the hundredth. Linux only. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8');
  // SOURCE: proc(5). The name, which is the second field, may have spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** The same of the API server, as it says itself. */
export async function apiserverCpuSeconds(client: KubeClient): Promise<number> {
  const { chunks } = await client.stream({ method: 'GET', path: '/metrics' });
  let text = '';
  for await (const chunk of chunks) text += chunk.toString('latin1');
  const line = /^process_cpu_seconds_total (\S+)$/m.exec(text);
  if (line === null) throw new Error('the API server does not say what it uses');
  return Number(line[1]);
}
