/**
 * What people get wrong in policies, found before a cluster sees them. Pure: text in, findings out. Each policy is looked at
 * by itself, and then together with the others of the run: floors, and disagreements.
 */
import { clusterLockPolicy, lockPolicy, type ClusterLockPolicySpec } from '../policy/api.ts';
import { parsePolicy } from '../policy/policy.ts';
import { describePolicy, type PolicyRef } from '../policy/policy-ref.ts';
import type { Labels } from '../policy/selector.ts';
import { PolicyStore } from '../policy/store.ts';
import { readYaml, type YamlDocument } from '../yaml/places.ts';
import { comparisonRemarks } from './comparisons.ts';
import { conflictRemarks } from './conflicts.ts';
import { durationRemarks } from './durations.ts';
import { failureRemarks } from './failure.ts';
import { fieldRemarks } from './fields.ts';
import { lintRules, type Finding, type Remark } from './finding.ts';
import { floorRemarks } from './floors.ts';
import { isPolicy, refOf } from './object.ts';
import { patternRemarks } from './patterns.ts';
import { valueAt } from './schema.ts';
import type { Manifest, SourceFile, Subject, Surroundings } from './subject.ts';
import { faultRemark } from './values.ts';

/** What is found, file by file from top to bottom, in so many policies. */
export interface LintResult {
  readonly findings: readonly Finding[];
  readonly policies: number;
}

/** Looks at the policies of the files. `ownNamespace` is lockwarden's. */
export function lint(files: readonly SourceFile[], ownNamespace: string): LintResult {
  const run = new Run(ownNamespace);
  for (const file of files) run.read(file);
  run.lookAtEach();
  run.lookAtAll();
  return run.result(files.map(({ name }) => name));
}

/** Policies of files, as a cluster would have them. */
export interface PoliciesOfFiles {
  readonly store: PolicyStore;
  /** Those that select namespaces by labels. Files tell of the labels only where they have the namespaces too. */
  readonly byLabels: readonly PolicyRef[];
  /** Why a policy could not be taken; empty where all were. */
  readonly errors: readonly Finding[];
}

/** Takes the policies of the files, and the labels of namespaces that are among them, into a store. */
export function policiesOf(files: readonly SourceFile[], ownNamespace: string): PoliciesOfFiles {
  const run = new Run(ownNamespace);
  for (const file of files) run.read(file);
  run.lookAtEach();
  const { findings } = run.result(files.map(({ name }) => name));
  return { ...run.policies(), errors: findings.filter(({ severity }) => severity === 'error') };
}

/** LIMIT: whoever makes fifty mistakes of a kind in a policy has made one; the first tell enough. */
const remarksMax = 20;

class Run {
  readonly #ownNamespace: string;
  readonly #findings: Finding[] = [];
  readonly #manifests: Manifest[] = [];
  readonly #subjects = new Map<string, Subject>();
  readonly #namespaces = new Map<string, Labels>();

  constructor(ownNamespace: string) {
    this.#ownNamespace = ownNamespace;
  }

  /** Takes up the policies of a file, and the labels of the namespaces that it has. */
  read({ name: file, text }: SourceFile): void {
    const yaml = readYaml(text);
    if ('faults' in yaml) {
      for (const { line, column, message } of yaml.faults) {
        const suggestion = 'mend the YAML; nothing else of this file was looked at';
        this.#findings.push(finding(file, { line, column }, { rule: 'InvalidYaml', message, suggestion }));
      }
      return;
    }
    const objects = yaml.documents.flatMap((document) => objectsOf(file, document));
    const policies = objects.filter(({ value }) => isPolicy(value));
    this.#manifests.push(...policies);
    for (const { value } of objects) if (value['kind'] === 'Namespace') this.#takeNamespace(value);
    if (policies.length > 0) return;
    const message = 'there is no policy in this file';
    const suggestion = 'leave the file out, or put a LockPolicy or ClusterLockPolicy into it';
    this.#findings.push(finding(file, { line: 1, column: 1 }, { rule: 'NoPolicy', message, suggestion }));
  }

  #takeNamespace(value: Manifest['value']): void {
    const name = valueAt(value, ['metadata', 'name']);
    const labels = valueAt(value, ['metadata', 'labels']) ?? {};
    if (typeof name === 'string' && typeof labels === 'object')
      this.#namespaces.set(
        name,
        Object.fromEntries(Object.entries(labels).map(([key, text]) => [key, String(text)])),
      );
  }

  /** What is wrong with each policy by itself. */
  lookAtEach(): void {
    for (const manifest of this.#manifests) {
      const subject = this.#subjectOf(manifest);
      if (subject === null) continue;
      this.#tell(manifest, patternRemarks(subject, this.#around));
      this.#tell(manifest, durationRemarks(subject));
      this.#tell(manifest, failureRemarks(subject, this.#around));
      this.#tell(manifest, comparisonRemarks(subject));
    }
  }

  #subjectOf(manifest: Manifest): Subject | null {
    const { value } = manifest;
    const ref = refOf(value);
    if ('rule' in ref) {
      this.#tell(manifest, [ref]);
      return null;
    }
    this.#tell(manifest, fieldRemarks(value, ref.kind));
    const first = this.#subjects.get(describePolicy(ref));
    if (first !== undefined) this.#tell(manifest, [duplicateOf(first)]);
    const parsed = parsePolicy({ ref, generation: 1, spec: value['spec'] });
    if (!parsed.ok) {
      this.#tell(
        manifest,
        parsed.faults.map((fault) => faultRemark(fault, value, ref.kind)),
      );
      return null;
    }
    const schema = ref.kind === 'LockPolicy' ? lockPolicy.spec : clusterLockPolicy.spec;
    const subject = {
      manifest,
      policy: parsed.policy,
      spec: schema.parse(value['spec']) as ClusterLockPolicySpec,
    };
    if (first === undefined) this.#subjects.set(describePolicy(ref), subject);
    return subject;
  }

  /** What the policies do to each other. */
  lookAtAll(): void {
    const clusterWide: Subject[] = [];
    const byNamespace = new Map<string, Subject[]>();
    for (const subject of this.#subjects.values()) {
      const { kind, namespace } = subject.policy.ref;
      if (kind === 'ClusterLockPolicy') clusterWide.push(subject);
      else byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), subject]);
    }
    for (const group of [clusterWide, ...byNamespace.values()]) {
      for (const { subject, remark } of conflictRemarks(group, this.#around))
        this.#tell(subject.manifest, [remark]);
    }
    for (const local of [...byNamespace.values()].flat())
      this.#tell(local.manifest, floorRemarks(local, clusterWide, this.#around));
  }

  result(files: readonly string[]): LintResult {
    const order = new Map(files.map((file, index) => [file, index]));
    const findings = this.#findings.toSorted(
      (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column,
    );
    return { findings, policies: this.#manifests.length };
  }

  policies(): Omit<PoliciesOfFiles, 'errors'> {
    const store = new PolicyStore(this.#ownNamespace);
    for (const [name, labels] of this.#namespaces) store.putNamespace(name, labels);
    const subjects = [...this.#subjects.values()];
    for (const { policy, manifest } of subjects)
      store.put({ ref: policy.ref, generation: 1, spec: manifest.value['spec'] });
    const byLabels = subjects.filter(({ spec }) => spec.match?.namespaceSelector !== undefined);
    return { store, byLabels: byLabels.map(({ policy }) => policy.ref) };
  }

  get #around(): Surroundings {
    return { ownNamespace: this.#ownNamespace, namespaces: this.#namespaces };
  }

  #tell({ file, placeOf }: Manifest, remarks: Iterable<Remark>): void {
    let told = 0;
    for (const remark of remarks) {
      this.#findings.push(finding(file, placeOf(remark.path), remark));
      told += 1;
      if (told === remarksMax) return;
    }
  }
}

function duplicateOf({ manifest, policy }: Subject): Remark {
  const path = ['metadata', 'name'];
  return {
    rule: 'DuplicatePolicy',
    path,
    message: `${describePolicy(policy.ref)} stands already at ${manifest.file}:${String(manifest.placeOf(path).line)}, and the later one would replace it`,
    suggestion: 'give one of the two another name',
  };
}

function finding(
  file: string,
  { line, column }: { readonly line: number; readonly column: number },
  { rule, message, suggestion }: Omit<Remark, 'path'>,
): Finding {
  return { file, line, column, severity: lintRules[rule], rule, message, suggestion };
}

/** The objects of a document: one, or those of a List. */
function objectsOf(file: string, { value, placeOf }: YamlDocument): readonly Manifest[] {
  if (!isRecord(value)) return [];
  const items = value['kind'] === 'List' ? value['items'] : null;
  if (!Array.isArray(items)) return [{ file, value, placeOf }];
  return (items as readonly unknown[]).flatMap((item, index) =>
    isRecord(item) ? [{ file, value: item, placeOf: (path) => placeOf(['items', index, ...path]) }] : [],
  );
}

function isRecord(value: unknown): value is Manifest['value'] {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
