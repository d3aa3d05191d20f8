/**
 * Which control plane the sandbox runs. These are the only places that name a version; what is built from Go modules is
 * pinned a second time by the `go.mod` and verified by the `go.sum` next to it, in `modules/`, and a test keeps the two
 * in step.
 */
import { fileURLToPath } from 'node:url';

/** Version of kube-apiserver that is built from Go modules. */
export const kubernetesVersion = '1.36.3';

/** Version of etcd that is built from Go modules. */
export const etcdVersion = '3.6.16';

/** Version of the official envtest release that is downloaded: the newest of the minor version of `kubernetesVersion`. */
export const envtestVersion = '1.36.2';

/** Oldest Go that builds them: the `go` line of k8s.io/kubernetes's own go.mod. */
export const oldestGo = { major: 1, minor: 26 } as const;

/**
 * Oldest kube-apiserver accepted from `KUBEBUILDER_ASSETS`.
 * SOURCE: matchConditions of webhooks and ValidatingAdmissionPolicy are stable since Kubernetes 1.30 (KEP-3716, KEP-3488).
 */
export const oldestKubernetes = { major: 1, minor: 30 } as const;

/** The sentence's second half whenever there is no way on: what a person can do. */
export const wayOut = `install Go >= ${oldestGo.major}.${oldestGo.minor}, or set \`KUBEBUILDER_ASSETS\` to a folder with kube-apiserver and etcd`;

/** Folder of the committed Go module `name`, from the sources and from the compiled package alike. */
export function moduleFolder(name: 'kube-apiserver' | 'etcd'): string {
  return fileURLToPath(new URL(`../../src/sandbox/modules/${name}`, import.meta.url));
}
