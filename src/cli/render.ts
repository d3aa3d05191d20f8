/** `lockwarden render`: the policies by which the API server stands in for lockwarden, for those who apply them by GitOps. */
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { LockwardenError } from '../errors.ts';
import { createKubeClient } from '../kube/client.ts';
import type { JsonObject } from '../kube/json.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { policiesOf } from '../lint/lint.ts';
import { describePolicy } from '../policy/policy-ref.ts';
import type { PolicyStore } from '../policy/store.ts';
import { switchObjects } from '../switch/policies.ts';
import { switchScope } from '../switch/terms.ts';
import { choiceOf } from './choice.ts';
import { readPolicies } from './cluster-locks.ts';
import { policyFiles } from './policy-files.ts';

/** What `render` is told. */
export interface RenderOptions {
  /** Files, folders, or `-` for standard input; none: the policies of the cluster. */
  readonly files: readonly string[];
  readonly kubeconfig?: string;
  readonly context?: string;
  /** lockwarden's own. */
  readonly namespace: string;
  /** By which lockwarden writes its guard Lease. */
  readonly serviceAccount: string;
  readonly output: string;
}

/** What `render` reads from and writes to besides files and the cluster. */
export interface RenderIo {
  readonly readStandardInput: () => Promise<string>;
  readonly write: (text: string) => void;
  /** What may be missing, a line each. */
  readonly warn: (line: string) => void;
}

const processIo: RenderIo = {
  readStandardInput: () => text(process.stdin),
  write: (output) => {
    process.stdout.write(output);
  },
  warn: (line) => {
    process.stderr.write(`lockwarden: ${line}\n`);
  },
};

/** Prints the objects. Resolves to the exit code. @throws LockwardenError, KubeError */
export async function render(options: RenderOptions, io: RenderIo = processIo): Promise<number> {
  const { namespace: ownNamespace, serviceAccount } = options;
  const print = printers[choiceOf('--output', options.output, ['yaml', 'json'])];
  const store = await (options.files.length > 0 ? storeOfFiles(options, io) : storeOfCluster(options));
  const username = `system:serviceaccount:${ownNamespace}:${serviceAccount}`;
  const objects = switchObjects({ scope: switchScope(store, ownNamespace), ownNamespace, username });
  io.write(print(objects));
  return 0;
}

async function storeOfFiles({ files, namespace }: RenderOptions, io: RenderIo): Promise<PolicyStore> {
  const read = await policyFiles(files, io.readStandardInput);
  const { store, byLabels, errors } = policiesOf(read, namespace);
  const [first] = errors;
  if (first !== undefined) {
    const place = `${first.file}:${String(first.line)}`;
    const advice = `\`lockwarden lint\` tells more`;
    throw new LockwardenError('UsageInvalid', `${place}: ${first.message}: ${first.suggestion}; ${advice}`);
  }
  for (const ref of byLabels) {
    const needed = 'what it says holds for the namespaces that are among the files, and for no others';
    io.warn(`${describePolicy(ref)} selects namespaces by labels: ${needed}`);
  }
  return store;
}

async function storeOfCluster({ kubeconfig, context, namespace }: RenderOptions): Promise<PolicyStore> {
  const client = createKubeClient(loadKubeconfig({ file: kubeconfig, context }));
  try {
    const { store, limits } = await readPolicies(client, null, namespace);
    // What is applied must not rest on half of the policies.
    const [first] = limits;
    if (first !== undefined) throw new LockwardenError('PermissionMissing', first);
    return store;
  } finally {
    client.close();
  }
}

/** What `kubectl apply -f -` takes. */
const printers: Readonly<Record<'yaml' | 'json', (objects: readonly JsonObject[]) => string>> = {
  yaml: (objects) => objects.map(yamlOf).join('---\n'),
  json: (items) => `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2)}\n`,
};

function yamlOf(object: JsonObject): string {
  return stringify(object, { lineWidth: 110, aliasDuplicateObjects: false });
}
