import { fileURLToPath } from 'node:url';

import { ensureControlPlane, type ControlPlaneBinaries } from '../../src/sandbox/control-plane-binaries.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import { showProgress } from '../../src/sandbox/progress.ts';

/** What every integration test finds: one control plane, the binaries to start another, and client-go's elector. */
export interface IntegrationGround {
  readonly controlPlane: ControlPlane;
  readonly binaries: ControlPlaneBinaries;
  readonly elector: string;
}

const clientGo = fileURLToPath(new URL('../client-go', import.meta.url));

/** Finds or makes everything and starts the control plane; says what takes long, the first time, on standard error. */
export async function prepareGround(): Promise<IntegrationGround> {
  const { progress, intervalMs, done } = showProgress(process.stderr);
  const options = { progress, progressIntervalMs: intervalMs };
  try {
    const binaries = await ensureControlPlane(options);
    const elector = await ensureGoProgram(
      { name: 'elector', moduleDir: clientGo, packagePath: './elector' },
      options,
    );
    return { controlPlane: await startControlPlane({ binaries, audit: true }), binaries, elector };
  } finally {
    done();
  }
}
