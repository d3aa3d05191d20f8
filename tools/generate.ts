/**
 * Writes what is made from the policy API (src/policy/api.ts) and from the format of suites (src/suite/format.ts): the CRDs and
 * the JSON Schemas for editors. A test compares the files with what this would write.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { stringify } from 'yaml';
import { apiGroup, clusterLockPolicy, lockPolicy } from '../src/policy/api.ts';
import { crdOf } from '../src/policy/crd.ts';
import { editorSchemaOf } from '../src/policy/json-schema.ts';
import { suiteJsonSchema } from '../src/suite/json-schema.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const header = '# Made from src/policy/api.ts by `npm run generate`; what is changed here is lost.\n';

/** The generated files: path below the root, and text. */
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
  files.set(
    'manifests/schemas/locktest.json',
    await format(JSON.stringify(suiteJsonSchema), { parser: 'json', printWidth: 110 }),
  );
  return files;
}

if (import.meta.main) {
  for (const [path, text] of await generated()) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
    console.log(path);
  }
}
