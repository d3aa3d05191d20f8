/** The alerts as the Prometheus Operator takes them. */

/** The manifest of a PrometheusRule with the groups of a rules file. */
export function prometheusRule(rules: { readonly groups: readonly unknown[] }): object {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: 'lockwarden',
      namespace: 'lockwarden-system',
      labels: { 'app.kubernetes.io/name': 'lockwarden' },
    },
    spec: { groups: rules.groups },
  };
}
