/** From the text of a `*.locktest.yaml` to a suite that can be run, or to what is wrong with it, each with its line. */
import { basename, dirname, resolve } from 'node:path';
import { durationMs } from '../policy/duration.ts';
import type { Labels } from '../policy/selector.ts';
import { faultsOf, type PathFault } from './faults.ts';
import { suiteSchema, type SuiteFile, type TestEntry } from './format.ts';
import { suiteJsonSchema } from './json-schema.ts';
import { readPolicy, readPolicyFile } from './manifests.ts';
import { faultsMax, readYaml, type Fault, type Path, type YamlDocument } from '../yaml/places.ts';
import type { PolicyManifest, Suite, Test } from './suite.ts';
import { Cast, lockOf, stepsOf, type Wrong } from './test-entry.ts';
import { unknownFields } from '../yaml/unknown-fields.ts';

/** A fault with the file that it is in. */
export interface FileFault extends Fault {
  readonly file: string;
}

/** A suite, or what is wrong with it. */
export type ReadSuite =
  | { readonly ok: true; readonly suite: Suite }
  | { readonly ok: false; readonly faults: readonly FileFault[]; readonly files: readonly string[] };

/** The text of another file, or why there is none: a clause in lower case. */
export type ReadFile = (path: string) => { readonly text: string } | { readonly why: string };

/**
 * Reads a suite. Total: whatever is in the file, there is a suite or at least one fault.
 *
 * @param path of the suite, for its faults and for the paths of its policies
 */
export function readSuite(path: string, text: string, readFile: ReadFile): ReadSuite {
  const yaml = readYaml(text);
  if ('faults' in yaml) return failed(path, yaml.faults);
  const [document, second] = yaml.documents;
  if (document === undefined) return failed(path, [{ line: 1, column: 1, message: 'the file is empty' }]);
  if (second !== undefined) {
    return failed(path, [
      { ...second.placeOf([]), message: 'a file holds one suite; put this one into its own' },
    ]);
  }
  const placed = ({ path: at, message }: PathFault): Fault => ({ ...document.placeOf(at), message });
  const parsed = suiteSchema.safeParse(document.value);
  const unknown = unknownFields(document.value, suiteJsonSchema);
  if (!parsed.success || unknown.length > 0) {
    const issues = parsed.success ? [] : faultsOf(parsed.error.issues, document.value);
    return failed(path, [...unknown, ...issues].map(placed));
  }
  return new Reading(path, document, parsed.data, readFile).finish();
}

/** What schemas cannot tell: names that must be known, times in order, policies in files. */
class Reading {
  readonly #path: string;
  readonly #document: YamlDocument;
  readonly #file: SuiteFile;
  readonly #readFile: ReadFile;
  readonly #files: string[];
  readonly #faults: FileFault[] = [];

  constructor(path: string, document: YamlDocument, file: SuiteFile, readFile: ReadFile) {
    this.#path = path;
    this.#document = document;
    this.#file = file;
    this.#readFile = readFile;
    this.#files = [path];
  }

  finish(): ReadSuite {
    const suite = {
      name: this.#file.metadata?.name ?? nameFor(this.#path),
      path: this.#path,
      policies: this.#policies(),
      namespaces: this.#namespaces(),
      tests: this.#tests(),
      files: this.#files,
    };
    if (this.#faults.length === 0) return { ok: true, suite };
    return { ok: false, faults: this.#faults.toSorted(byPlace).slice(0, faultsMax), files: this.#files };
  }

  #policies(): readonly PolicyManifest[] {
    const policies = (this.#file.policies ?? []).flatMap((entry, index) => {
      const path = ['policies', index];
      if (typeof entry === 'string') return this.#policiesOf(entry, path);
      const read = readPolicy(entry);
      for (const fault of read.faults) this.#wrong([...path, ...fault.path], fault.message);
      return read.policies;
    });
    for (const [index, { ref }] of policies.entries()) {
      const isTwin = policies
        .slice(0, index)
        .some(
          (each) =>
            each.ref.kind === ref.kind && each.ref.namespace === ref.namespace && each.ref.name === ref.name,
        );
      if (isTwin)
        this.#wrong(['policies'], `there are two policies of the kind ${ref.kind} named \`${ref.name}\``);
    }
    return policies;
  }

  #policiesOf(entry: string, path: Path): readonly PolicyManifest[] {
    const file = resolve(dirname(this.#path), entry);
    this.#files.push(file);
    const found = this.#readFile(file);
    if ('why' in found) {
      this.#wrong(path, `\`${entry}\` cannot be read: ${found.why}`);
      return [];
    }
    const read = readPolicyFile(found.text);
    this.#faults.push(...read.faults.map((fault) => ({ ...fault, file })));
    return read.policies;
  }

  #namespaces(): ReadonlyMap<string, Labels> {
    const namespaces = new Map<string, Labels>();
    for (const [index, { name, labels }] of (this.#file.namespaces ?? []).entries()) {
      if (namespaces.has(name)) this.#wrong(['namespaces', index], `the namespace \`${name}\` stands twice`);
      namespaces.set(name, labels ?? {});
    }
    return namespaces;
  }

  #tests(): readonly Test[] {
    const names = new Set<string>();
    return this.#file.tests.map((entry, index) => {
      const path = ['tests', index];
      if (names.has(entry.name)) this.#wrong([...path, 'name'], `the name \`${entry.name}\` stands twice`);
      names.add(entry.name);
      return this.#test(entry, path);
    });
  }

  #test(entry: TestEntry, path: Path): Test {
    const wrong: Wrong = (at, message) => {
      this.#wrong([...path, ...at], message);
    };
    const { lock, leaseDurationMs, start } = lockOf(this.#file.lock, entry.lock);
    const cast = new Cast({ ...this.#file.actors, ...entry.actors }, lock.namespace, leaseDurationMs, wrong);
    // NB: a lock that the suite describes is wrong there, for each test that has it.
    const startPath = entry.lock?.start === undefined ? [] : ['lock', 'start', 'holder'];
    return {
      name: entry.name,
      line: this.#lineOf(path),
      lock,
      start:
        start === null
          ? null
          : {
              by: start.holder === undefined ? cast.bystander() : cast.actor(start.holder, startPath),
              held: start.holder !== undefined,
              leaseDurationMs: msOf(start.leaseDuration) ?? leaseDurationMs,
              renewedMs: msOf(start.renewed) ?? 0,
              transitions: start.transitions ?? 0,
            },
      steps: stepsOf(entry.steps, cast, wrong, (index) => this.#lineOf([...path, 'steps', index])),
      coveredBy: entry.coveredBy ?? null,
    };
  }

  #lineOf(path: Path): number {
    return this.#document.placeOf(path).line;
  }

  #wrong(path: Path, message: string): void {
    const fault = { ...this.#document.placeOf(path), message, file: this.#path };
    const known = this.#faults.some(({ line, message: told }) => line === fault.line && told === message);
    if (!known) this.#faults.push(fault);
  }
}

function msOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : (durationMs(text) ?? undefined);
}

/** `policies/audit-only/suite.locktest.yaml` is called `audit-only`, and `x/orders.locktest.yaml` is called `orders`. */
function nameFor(path: string): string {
  const name = basename(path).replace(/\.locktest\.ya?ml$/, '');
  return name === 'suite' ? basename(dirname(resolve(path))) : name;
}

function failed(path: string, faults: readonly Fault[]): ReadSuite {
  const sorted = faults.map((fault) => ({ ...fault, file: path })).sort(byPlace);
  return { ok: false, faults: sorted.slice(0, faultsMax), files: [path] };
}

function byPlace(a: FileFault, b: FileFault): number {
  return a.line - b.line || a.column - b.column;
}
