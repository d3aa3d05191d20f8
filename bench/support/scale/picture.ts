/** `docs/performance-scale.svg`: what `bench/results/scale.json` has, as curves. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { root } from '../../../test/style/tree.ts';
import { drawCurves, type Curve, type Panel } from './curve.ts';
import type { Row } from './steps.ts';

/** What is measured by number of locks, and by number of policies. */
export interface Series {
  readonly locks: readonly Row[];
  readonly policies: readonly Row[];
}

const path = 'docs/performance-scale.svg';

/** Draws it. Returns where. */
export async function drawPicture({ locks, policies }: Series): Promise<string> {
  const watched = policies[0]?.watched.toLocaleString('en') ?? '';
  // Nought has no place on an axis of powers.
  const some = policies.filter((row) => row.policies > 0);
  const panels = [
    ...panelsOf(locks, 'locks that are watched', (row) => row.watched),
    ...panelsOf(some, `policies, with ${watched} locks`, (row) => row.policies),
  ];
  const subtitle =
    'one replica of lockwarden on two cores that it shares with kube-apiserver and etcd; both axes are logarithmic';
  await writeFile(join(root, path), drawCurves('Growth of what lockwarden needs', subtitle, panels));
  return path;
}

function panelsOf(rows: readonly Row[], xLabel: string, xOf: (row: Row) => number): readonly Panel[] {
  if (rows.length === 0) return [];
  const curve = (label: string, tone: number, yOf: (row: Row) => number, isDashed = false): Curve => ({
    ...{ label, tone, isDashed },
    points: rows.map((row) => [xOf(row), yOf(row)]),
  });
  return [
    {
      title: 'Memory, MiB',
      xLabel,
      curves: [
        curve('resident', 0, (row) => row.idle.residentMiB),
        curve('heap, garbage collected', 1, (row) => row.heapMiB),
      ],
    },
    {
      title: 'Time, ms',
      xLabel,
      curves: [
        curve('start until ready', 0, (row) => row.readyMs),
        curve('all connections cut until in step', 3, (row) => row.cut.syncedMs),
        curve('takeover', 1, (row) => row.takeovers.guarded.medianMs),
        curve('takeover, lockwarden not asked', 2, (row) => row.takeovers.unasked.medianMs, true),
      ],
    },
  ];
}
