/** What `kind:up` leaves for `test:kind` and `kind:down`: how to reach the cluster. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './engine.ts';

/** A cluster that is up. */
export interface ClusterState {
  readonly cluster: string;
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** What differs from the environment of whoever called: `DOCKER_HOST`, `PATH`, `KUBECONFIG`. */
  readonly env: Readonly<Record<string, string>>;
  /** The lab that was brought up for it, and has to be taken down with it; null: none was. */
  readonly lab: string | null;
  /** Whether the cluster was made for it, and has to be deleted. */
  readonly isOwnCluster: boolean;
  /** Images that were loaded, by what they are. */
  readonly images: { readonly lockwarden: string; readonly next: string; readonly elector: string };
}

export const stateFolder = join(root, '.kind');
const file = join(stateFolder, 'state.json');

/** The cluster that was brought up from this checkout, or null. */
export async function readState(): Promise<ClusterState | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ClusterState;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

export async function writeState(state: ClusterState): Promise<void> {
  await mkdir(stateFolder, { recursive: true });
  await writeFile(file, JSON.stringify(state, null, 2));
}

export async function forgetState(): Promise<void> {
  await rm(stateFolder, { recursive: true, force: true });
}
