/** `lockwarden certs status`: who is trusted, what is served, and what comes next. It writes nothing. */
import { askCluster } from '../certs-report/cluster.ts';
import { factsOf } from '../certs-report/facts.ts';
import { statusOf } from '../certs-report/status.ts';
import { namespaceOf } from '../config.ts';
import type { OutputFormat } from '../explain/render.ts';
import { createKubeClient } from '../kube/client.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { renderCerts } from './certs-table.ts';
import { choiceOf } from './choice.ts';
import { takesColour } from './terminal.ts';

/** What the commands about certificates are told about the cluster. */
export interface CertsOptions {
  /** lockwarden's own. */
  readonly namespace: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** What `certs status` is told. */
export interface CertsStatusOptions extends CertsOptions {
  readonly output: string;
}

/** Where it is printed. */
export interface CertsStatusIo {
  readonly stdout: { readonly isTTY?: boolean | undefined; write(text: string): unknown };
  readonly env: Readonly<Partial<Record<string, string>>>;
}

/** Prints how things stand. Resolves to the exit code: 0 where all is in order, 1 where something is not. */
export async function certsStatus(
  options: CertsStatusOptions,
  { stdout, env }: CertsStatusIo = process,
): Promise<number> {
  const format = choiceOf('--output', options.output, formats);
  const namespace = namespaceOf(options.namespace);
  const client = createKubeClient(loadKubeconfig({ file: options.kubeconfig, context: options.context }));
  try {
    const status = statusOf(factsOf(await askCluster(client, namespace)));
    const colour = takesColour(stdout, env);
    stdout.write(renderCerts(status, { format, colour }));
    return status.ok ? 0 : 1;
  } finally {
    client.close();
  }
}

const formats: readonly OutputFormat[] = ['table', 'json', 'yaml'];
