/** What the program exports, as its registry has it. */
import { monotonicMs } from '../../src/core/time.ts';
import { createMetrics } from '../../src/server/metrics.ts';

/** One metric. */
export interface Exported {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** Every metric of a process that serves. */
export async function exported(): Promise<readonly Exported[]> {
  const clock = { monotonicMs: () => monotonicMs(0), wallMs: () => 0 };
  const { registry } = createMetrics(clock, { processMetrics: true });
  const found: Exported[] = [];
  for (const metric of registry.getMetricsAsArray()) {
    // NB: prom-client's types leave the names of labels out.
    const { labelNames } = metric as unknown as { readonly labelNames: readonly string[] };
    const { name, type } = await (
      metric as unknown as { get(): Promise<{ name: string; type: string }> }
    ).get();
    found.push({ name, type, labels: labelNames });
  }
  return found;
}
