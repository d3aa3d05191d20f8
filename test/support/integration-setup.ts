import type { TestProject } from 'vitest/node';

import type { ControlPlaneBinaries } from '../../src/sandbox/control-plane-binaries.ts';
import { prepareGround } from './control-plane.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the shared control plane's administrator kubeconfig. */
    kubeconfig: string;
    /** URL of the shared API server. */
    server: string;
    /** Path of its audit log (requests and answers about Leases, ConfigMaps and Endpoints). */
    auditLog: string;
    /** What a test needs to start a control plane of its own. */
    binaries: ControlPlaneBinaries;
    /** Path of client-go's elector. */
    elector: string;
  }
}

/** Brings up what the integration project shares, and returns what takes it down. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { controlPlane, binaries, elector } = await prepareGround();
  project.provide('kubeconfig', controlPlane.kubeconfig);
  project.provide('server', controlPlane.server);
  project.provide('auditLog', controlPlane.auditLog ?? '');
  project.provide('binaries', binaries);
  project.provide('elector', elector);
  return () => controlPlane.stop();
}
