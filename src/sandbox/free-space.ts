import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { LockwardenError } from '../errors.ts';
import { wayOut } from './pins.ts';

/** Bytes that a piece of work will add beneath a folder, which need not exist yet. */
export interface SpaceNeed {
  readonly folder: string;
  readonly bytes: number;
}

/** Tells the device that holds an existing folder and the bytes an ordinary user can still write there. */
export type FreeSpace = (folder: string) => Promise<{ device: string; bytes: number }>;

/** Free space as the operating system tells it. */
export const freeSpace: FreeSpace = async (folder) => {
  const [{ dev }, { bavail, bsize }] = await Promise.all([stat(folder), statfs(folder)]);
  return { device: String(dev), bytes: bavail * bsize };
};

/**
 * Checks that every need fits, adding up those that share a device.
 *
 * @throws LockwardenError `StorageFailed`, which says how much is needed, how much there is, and where.
 */
export async function requireSpace(needs: readonly SpaceNeed[], read: FreeSpace): Promise<void> {
  const devices = new Map<string, { folder: string; needed: number; free: number }>();
  for (const { folder, bytes } of needs) {
    const existing = await nearestExisting(folder);
    const { device, bytes: free } = await read(existing);
    const needed = bytes + (devices.get(device)?.needed ?? 0);
    devices.set(device, { folder: existing, needed, free });
  }
  for (const { folder, needed, free } of devices.values()) {
    if (free < needed) {
      throw new LockwardenError(
        'StorageFailed',
        `${gibibytes(needed)} must be free on the disk of \`${folder}\` and only ${gibibytes(free)} are; make room, or ${wayOut}`,
      );
    }
  }
}

async function nearestExisting(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch (error) {
    const parent = dirname(folder);
    if (parent === folder) throw error;
    return nearestExisting(parent);
  }
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
