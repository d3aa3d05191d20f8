/**
 * The certificate that this replica serves: looked at anew whenever the Secret, the bundles or the time may have changed
 * the answer, and handed to the listener without dropping a connection.
 */
import type { Issuer } from '../certs/carry-out.ts';
import { readChain } from '../certs/certificate.ts';
import type { LeafChoice, LeafChoiceAtHand, Standing } from '../certs/choose-leaf.ts';
import type { ServableLeaf } from '../certs/verify.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../kube/ports.ts';

/** What is served. */
export interface ServedLeaf extends ServableLeaf {
  /** SHA-256 of the leaf, in hexadecimal. */
  readonly fingerprint: string;
  readonly notAfterMs: number;
}

/** What a keeper needs. */
export interface LeafKeeperOptions {
  /** Decides what to serve; null: too little is known to decide. */
  readonly choose: (served: ServableLeaf | null) => LeafChoice | null;
  /** Issues a leaf that is kept nowhere else. */
  readonly mint: (issuer: Issuer) => Promise<ServableLeaf>;
  /** Serves a leaf from the next handshake on. @throws when it cannot be served */
  readonly serve: (leaf: ServedLeaf) => Promise<void> | void;
  /** Serves nothing from now on. */
  readonly withhold: () => void;
  /** Told after each look: what is served, and what API servers make of it, or why nothing is served. */
  readonly onLooked: (served: ServedLeaf | null, standing: Standing) => void;
  readonly onReload: () => void;
  readonly onFailure: () => void;
  readonly logger: Logger;
}

/** Keeps the leaf. */
export class LeafKeeper {
  readonly #options: LeafKeeperOptions;
  #served: ServedLeaf | null = null;
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  #stopped = false;
  #toldProblem: string | null = null;
  #hasServed = false;

  constructor(options: LeafKeeperOptions) {
    this.#options = options;
  }

  get served(): ServedLeaf | null {
    return this.#served;
  }

  /** Looks at what is to be served: one look at a time, and another for what happens meanwhile. */
  look(): void {
    this.#lookAgain = true;
    if (!this.#stopped) this.#looking ??= this.#lookUntilDone();
  }

  /** Ends; resolves when nothing is handed to the listener any more. What is served stays served. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#looking;
  }

  async #lookUntilDone(): Promise<void> {
    while (this.#lookAgain && !this.#stopped) {
      this.#lookAgain = false;
      try {
        await this.#lookOnce();
      } catch (error) {
        this.#tell(messageOf(error));
        this.#options.onFailure();
      }
    }
    // INVARIANT: no `await` between the last look and here, so whoever asks for another starts a loop of its own.
    this.#looking = null;
  }

  async #lookOnce(): Promise<void> {
    const { choose, onLooked } = this.#options;
    const choice = choose(this.#served);
    if (choice === null) return;
    const { atHand, failure } =
      choice.kind === 'mint' ? await this.#issue(choice) : { atHand: choice, failure: null };
    const standing = await this.#take(atHand);
    this.#tell([standing.problem, failure].filter((each) => each !== null).join('; ') || null);
    onLooked(this.#served, standing);
  }

  /** The choice with its certificate issued, or what is left where that fails. */
  async #issue({ issuer, why, otherwise }: Extract<LeafChoice, { readonly kind: 'mint' }>): Promise<{
    readonly atHand: LeafChoiceAtHand;
    readonly failure: string | null;
  }> {
    const { mint, onFailure } = this.#options;
    try {
      const leaf = await mint(issuer);
      return { atHand: { kind: 'serve', leaf, why, problem: null, works: true }, failure: null };
    } catch (error) {
      onFailure();
      return { atHand: otherwise, failure: `no certificate could be issued: ${messageOf(error)}` };
    }
  }

  async #take(choice: LeafChoiceAtHand): Promise<Standing> {
    switch (choice.kind) {
      case 'serve':
        await this.#serve(choice.leaf, choice.why);
        return choice;
      case 'keep':
        return choice;
      case 'nothing':
        this.#served = null;
        this.#options.withhold();
        return { problem: choice.why, works: false };
    }
  }

  async #serve(leaf: ServableLeaf, why: string): Promise<void> {
    const { serve, onReload, logger } = this.#options;
    const [certificate] = readChain(leaf.chainPem) ?? [];
    if (certificate === undefined || this.#stopped) return;
    const { fingerprint, notAfterMs } = certificate;
    await serve({ ...leaf, fingerprint, notAfterMs });
    const first = !this.#hasServed;
    this.#hasServed = true;
    this.#served = { ...leaf, fingerprint, notAfterMs };
    const fields = { fingerprint, notAfter: new Date(notAfterMs).toISOString(), reason: why };
    logger.info(fields, first ? 'serving certificate loaded' : 'serving certificate replaced');
    onReload();
  }

  /** What is wrong is told once, not each second. */
  #tell(problem: string | null): void {
    if (problem === this.#toldProblem) return;
    this.#toldProblem = problem;
    const { logger } = this.#options;
    if (problem === null) return;
    if (!this.#hasServed) logger.info({ reason: problem }, 'no serving certificate yet');
    else logger.error({ reason: problem }, 'serving certificate not in order');
  }
}
