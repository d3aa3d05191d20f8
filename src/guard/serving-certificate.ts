/**
 * The certificate of a process that looks after itself: issued in memory, in the API server's time, and replaced long
 * before it runs out. Trust is widened first: for as long as an API server may not have heard of the new authority,
 * the old leaf is served, and the bundle names both.
 */
import { backdateDefaultMs, issueServingCertificate, type ServingCertificate } from '../certs/leaf.ts';

/** What the certificate depends on. Times in milliseconds. */
export interface ServingCertificateOptions {
  /** DNS names and IP addresses that it is valid for. */
  readonly hosts: readonly string[];
  readonly validityMs?: number;
  /** How long after a bundle was published the new leaf is served at the earliest. */
  readonly overlapMs?: number;
}

/** Who is told of a renewal: first the bundle, then the leaf. */
export interface CertificatePorts {
  readonly publish: (caBundle: string) => Promise<void>;
  readonly serve: (certificate: ServingCertificate) => void;
}

/** LIMIT: short-lived, and still longer than any outage of an API server that a process would live through. */
const validityDefaultMs = 7 * 24 * 60 * 60 * 1000;
/** LIMIT: API servers take in a changed configuration within seconds. */
const overlapDefaultMs = 30_000;

/** The present certificate, and when to replace it. */
export class ServingCertificates {
  readonly #options: Required<ServingCertificateOptions>;
  readonly #ports: CertificatePorts;
  #served: ServingCertificate;
  #next: { readonly certificate: ServingCertificate; readonly publishedAtMs: number } | null = null;
  #previousCa = '';

  private constructor(
    options: Required<ServingCertificateOptions>,
    ports: CertificatePorts,
    first: ServingCertificate,
  ) {
    this.#options = options;
    this.#ports = ports;
    this.#served = first;
  }

  /** Issues the first certificate. `nowMs` is the API server's time. */
  static async issue(
    options: ServingCertificateOptions,
    ports: CertificatePorts,
    nowMs: number,
  ): Promise<ServingCertificates> {
    const complete = { validityMs: validityDefaultMs, overlapMs: overlapDefaultMs, ...options };
    return new ServingCertificates(complete, ports, await issue(complete, nowMs));
  }

  get served(): ServingCertificate {
    return this.#served;
  }

  /** Every authority that has to be trusted now. */
  get caBundle(): string {
    return `${this.#next?.certificate.caPem ?? ''}${this.#served.caPem}${this.#previousCa}`;
  }

  /** Does what is due at `nowMs` (the API server's time). @throws what `publish` throws; the next call tries again. */
  async tend(nowMs: number): Promise<void> {
    if (this.#next !== null) {
      if (nowMs - this.#next.publishedAtMs < this.#options.overlapMs) return;
      this.#ports.serve(this.#next.certificate);
      this.#previousCa = this.#served.caPem;
      this.#served = this.#next.certificate;
      this.#next = null;
      return;
    }
    // LIMIT: a third of its life is left, as cert-manager renews.
    if (nowMs < this.#served.notAfterMs - this.#options.validityMs / 3) return;
    const certificate = await issue(this.#options, nowMs);
    this.#previousCa = '';
    await this.#ports.publish(`${certificate.caPem}${this.#served.caPem}`);
    this.#next = { certificate, publishedAtMs: nowMs };
  }
}

function issue(
  { hosts, validityMs }: Required<ServingCertificateOptions>,
  nowMs: number,
): Promise<ServingCertificate> {
  return issueServingCertificate({ hosts, nowMs, validityMs, backdateMs: backdateDefaultMs });
}
