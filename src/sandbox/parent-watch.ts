import { spawn } from 'node:child_process';

/**
 * Ends process `pid` as soon as this process is gone, however it went, and not before. The function returned calls the
 * watch off.
 *
 * NB: signal and exit handlers would miss SIGKILL. A shell that waits for the end of its input misses nothing, because
 * the operating system closes a dead process's pipes; and being in a process group of its own, it outlives a Ctrl-C.
 */
export function endWithParent(pid: number): () => void {
  return atParentsEnd('kill -KILL "$1"', String(pid));
}

/** Removes `folder` as soon as this process is gone; otherwise as `endWithParent`. */
export function removeWithParent(folder: string): () => void {
  // NB: processes that end at the same moment may still write; what they leave is removed a second later.
  return atParentsEnd('rm -rf "$1"; sleep 1; rm -rf "$1"', folder);
}

function atParentsEnd(script: string, argument: string): () => void {
  const shell = spawn('/bin/sh', ['-c', `read -r _; ${script}`, 'sh', argument], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // NB: without a shell the watch is missing, and nothing else is.
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  shell.unref();
  return () => {
    shell.kill('SIGKILL');
  };
}
