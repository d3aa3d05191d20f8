/**
 * Certificates that somebody else issues and renews: taken up without a restart, under the same rule as our own. The leader
 * has the configuration trust what was brought before any replica serves it, and takes old trust away when all do.
 */
import { broughtBundle, offerOf, type BroughtReading } from '../certs/brought.ts';
import { strangers } from '../certs/bundle.ts';
import { chooseBrought, type LeafChoice } from '../certs/choose-leaf.ts';
import type { ReplicaFacts } from '../certs/facts.ts';
import { defaultLifetimes, type Lifetimes } from '../certs/lifetimes.ts';
import type { ServableLeaf } from '../certs/verify.ts';
import type { Logger } from '../kube/ports.ts';
import type { BroughtPlace } from './brought-files.ts';
import type { Certificates, ChoiceAt } from './certificates.ts';
import type { Steward, Term } from './duties.ts';
import type { ObservedBundles } from './observed-bundle.ts';

/** What a brought leaf needs. */
export interface BroughtLeafOptions {
  readonly place: BroughtPlace;
  readonly hosts: readonly string[];
  /** How long every entry must have carried a bundle before a leaf may need it, in milliseconds. */
  readonly publishDwellMs: number;
  readonly nowMs: () => number | null;
  readonly bundles: () => ObservedBundles | null;
  readonly logger: Logger;
}

/** Certificates that are brought. */
export class BroughtLeaf implements Certificates {
  readonly #options: BroughtLeafOptions;
  readonly #lifetimes: Lifetimes;

  constructor(options: BroughtLeafOptions) {
    this.#options = options;
    // Nobody here can issue another, so a leaf is good to its end.
    this.#lifetimes = { ...defaultLifetimes, publishDwellMs: options.publishDwellMs, breakGlassMs: 0 };
  }

  start(): void {
    this.#options.place.start();
  }

  async stop(): Promise<void> {
    await this.#options.place.stop();
  }

  choose({ nowMs, observed, served }: ChoiceAt): LeafChoice | null {
    const { place, hosts } = this.#options;
    const reading = place.read(hosts, nowMs);
    if (reading === null) return null;
    const { bundles, ageMs } = observed;
    const offer = offerOf(reading);
    const bundleSinceMs = nowMs - ageMs;
    return chooseBrought({ offer, bundles, bundleSinceMs, hosts, nowMs, served, lifetimes: this.#lifetimes });
  }

  needed(nowMs: number): string | null {
    const { place, hosts } = this.#options;
    const reading = place.read(hosts, nowMs);
    return reading?.kind === 'brought' ? reading.brought.caPem : null;
  }

  mint(): Promise<ServableLeaf> {
    return Promise.reject(new Error('a certificate that is brought cannot be issued here'));
  }

  steward(replicas: () => readonly ReplicaFacts[]): Steward {
    return new BroughtSteward(this.#options, replicas);
  }
}

/** Keeps the bundle; there is nothing else to write. */
class BroughtSteward implements Steward {
  readonly #options: BroughtLeafOptions;
  readonly #replicas: () => readonly ReplicaFacts[];
  #told = '';

  constructor(options: BroughtLeafOptions, replicas: () => readonly ReplicaFacts[]) {
    this.#options = options;
    this.#replicas = replicas;
  }

  notice(): void {
    // Everything is looked at anew in each step.
  }

  async step(_term: Term, publish: (caBundle: string) => Promise<void>): Promise<boolean> {
    const { place, hosts, nowMs, bundles, publishDwellMs } = this.#options;
    const now = nowMs();
    const observed = bundles();
    const reading = now === null ? null : place.read(hosts, now);
    if (now === null || observed === null || reading === null) return false;
    this.#tell(reading);
    if (reading.kind !== 'brought') return false;
    const { brought } = reading;
    const replicas = this.#replicas();
    const isServedByAll =
      replicas.length > 0 && replicas.every(({ servesLeaf }) => servesLeaf === brought.fingerprint);
    const entries = observed.bundles ?? [];
    const isAlone = strangers(brought.caPem, entries, now).length === 0;
    const settled = isServedByAll && (isAlone || observed.ageMs >= publishDwellMs);
    await publish(broughtBundle(brought, entries, now, settled));
    return false;
  }

  #tell(reading: BroughtReading): void {
    const why = reading.kind === 'brought' ? '' : reading.why;
    if (why !== '' && why !== this.#told) {
      this.#options.logger.warn({ reason: why }, 'certificate that was brought cannot be used');
    }
    this.#told = why;
  }
}
