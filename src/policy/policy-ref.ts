/** How policies are called. */

/** Which policy. `namespace` is empty for a ClusterLockPolicy. */
export interface PolicyRef {
  readonly kind: 'LockPolicy' | 'ClusterLockPolicy';
  readonly namespace: string;
  readonly name: string;
}

/** `clusterlockpolicy/NAME`, `lockpolicy/NAMESPACE/NAME`: for messages, and unique. */
export function describePolicy({ kind, namespace, name }: PolicyRef): string {
  return kind === 'LockPolicy' ? `lockpolicy/${namespace}/${name}` : `clusterlockpolicy/${name}`;
}
