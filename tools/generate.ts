/**
 * Writes what is made from the policy API (src/policy/api.ts), the format of suites (src/suite/format.ts) and of records
 * (src/review/record-schema.ts): the CRDs and the JSON Schemas; what manifests have of the switch (src/switch/policies.ts); and what Grafana and the
 * Prometheus Operator are given. A test compares the files with what this would write.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { parse, stringify } from 'yaml';
import { apiGroup, clusterLockPolicy, lockPolicy } from '../src/policy/api.ts';
import { crdOf } from '../src/policy/crd.ts';
import { editorSchemaOf } from '../src/policy/json-schema.ts';
import { recordJsonSchema } from '../src/review/json-schema.ts';
import { suiteJsonSchema } from '../src/suite/json-schema.ts';
import { inertObjects } from '../src/switch/policies.ts';
import { dashboard } from './monitoring/dashboard.ts';
import { prometheusRule } from './monitoring/prometheus-rule.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const header = '# Made from src/policy/api.ts by `npm run generate`; what is changed here is lost.\n';

const switchHeader = `# What the leader fills in, and what refuses nothing until then: the policies by which the API server stands in for lockwarden while it is
# down. INVARIANT: no field that the leader changes is in here, so no \`kubectl apply\` ever takes away what it has written.
# Made from src/switch/policies.ts by \`npm run generate\`; what is changed here is lost.
`;
/** As everywhere in manifests/base. */
const ownNamespace = 'lockwarden-system';

/** The objects of the switch as they are installed, bindings first: who deletes in this order leaves none that asks for what is gone. */
async function switchManifest(): Promise<string> {
  const objects = inertObjects(ownNamespace)
    .toReversed()
    .map((object) => stringify(object, { lineWidth: 110, aliasDuplicateObjects: false }));
  return format(switchHeader + objects.join('---\n'), { parser: 'yaml', singleQuote: true, printWidth: 110 });
}

/** What is made from the policy API, the formats of suites and records, and the switch: path below the root, and text. */
export async function generated(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const policyKind of [lockPolicy, clusterLockPolicy]) {
    const crd = stringify(crdOf(policyKind), {
      sortMapEntries: true,
      lineWidth: 110,
      aliasDuplicateObjects: false,
    });
    const schema = JSON.stringify(editorSchemaOf(policyKind));
    files.set(
      `manifests/crds/${apiGroup}_${policyKind.plural}.yaml`,
      await format(header + crd, { parser: 'yaml', singleQuote: true, printWidth: 110 }),
    );
    files.set(
      `manifests/schemas/${policyKind.kind.toLowerCase()}.json`,
      await format(schema, { parser: 'json', printWidth: 110 }),
    );
  }
  files.set('manifests/base/switch.yaml', await switchManifest());
  files.set(
    'manifests/schemas/locktest.json',
    await format(JSON.stringify(suiteJsonSchema), { parser: 'json', printWidth: 110 }),
  );
  files.set(
    'docs/review-record.schema.json',
    await format(JSON.stringify(recordJsonSchema), { parser: 'json', printWidth: 110 }),
  );
  return files;
}

/** What is made for Prometheus and Grafana: path below the root, and text. */
export async function monitoring(): Promise<ReadonlyMap<string, string>> {
  const folder = 'manifests/monitoring';
  const rules = parse(await readFile(join(root, folder, 'rules.yaml'), 'utf8')) as { groups: unknown[] };
  const made = `# Made from ${folder}/rules.yaml by \`npm run generate\`; what is changed here is lost.\n`;
  const yaml = stringify(prometheusRule(rules), { lineWidth: 110 });
  return new Map([
    [
      `${folder}/prometheus-rule.yaml`,
      await format(made + yaml, { parser: 'yaml', singleQuote: true, printWidth: 110 }),
    ],
    [
      `${folder}/dashboard.json`,
      await format(JSON.stringify(dashboard()), { parser: 'json', printWidth: 110 }),
    ],
  ]);
}

if (import.meta.main) {
  for (const [path, text] of [...(await generated()), ...(await monitoring())]) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
    console.log(path);
  }
}
