/** What other processes use of this machine. */
import { readdir, readFile, writeFile } from 'node:fs/promises';

/** LIMIT: what `getconf CLK_TCK` says on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** User and system time of a process since it began, in seconds, to the hundredth. Linux only. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const { fields } = await statOf(pid);
  // SOURCE: proc(5): utime and stime are the 14th and 15th field.
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/**
 * Process ID of the one process on this machine whose program has this name, in whatever container; with `argument`, of the one among them
 * that was started with it. Linux only.
 */
export async function processNamed(name: string, argument?: string): Promise<number> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  const isMeant = async (pid: number): Promise<boolean> =>
    (await statOf(pid)).name === name &&
    (argument === undefined || (await argumentsOf(pid)).includes(argument));
  // A process may end while it is looked at.
  const areMeant = await Promise.all(pids.map((pid) => isMeant(pid).catch(() => false)));
  const [found, ...others] = pids.filter((_, index) => areMeant[index]);
  if (found === undefined || others.length > 0)
    throw new Error(
      `of ${name} there has to be one process, and there are ${String(found === undefined ? 0 : others.length + 1)}`,
    );
  return found;
}

/** Process ID of the API server of this machine that serves at a URL. Linux only. */
export function apiServerAt(server: string): Promise<number> {
  return processNamed('kube-apiserver', `--secure-port=${new URL(server).port}`);
}

async function argumentsOf(pid: number): Promise<readonly string[]> {
  return (await readFile(`/proc/${String(pid)}/cmdline`, 'utf8')).split('\0');
}

/** A process's name and, from its state on, the fields that proc(5) numbers from 3. */
async function statOf(pid: number): Promise<{ name: string; fields: readonly string[] }> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8');
  // The name may have spaces and parentheses itself.
  const [begin, end] = [stat.indexOf('('), stat.lastIndexOf(')')];
  return { name: stat.slice(begin + 1, end), fields: stat.slice(end + 2).split(' ') };
}

/** Resident memory of a process, in MiB. Linux only. */
export function residentMiBOf(pid: number): Promise<number> {
  return memoryOf(pid, 'VmRSS');
}

/** The most that it has been since the process began, or since `forgetPeakOf`. Linux only. */
export function peakResidentMiBOf(pid: number): Promise<number> {
  return memoryOf(pid, 'VmHWM');
}

/** SOURCE: proc_pid_clear_refs(5): 5 sets the peak to what is resident now. */
export async function forgetPeakOf(pid: number): Promise<void> {
  await writeFile(`/proc/${String(pid)}/clear_refs`, '5');
}

async function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(?<kib>\\d+) kB$`, 'mu').exec(status)?.groups?.['kib']) / 1_024;
}
