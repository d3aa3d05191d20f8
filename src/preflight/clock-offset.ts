/**
 * How far a holder's clock is from the API server's. Each renewal bounds it: the holder read its clock for the renew time shortly
 * before the API server wrote its own time beside it (a stamp, in whole seconds) or noted the request (an audit log). So one renewal
 * tells a second; several together tell it better, as long as they agree.
 */
import { seconds } from '../core/message.ts';
import type { RecordedTime } from '../core/lock.ts';
import { hull, intersect, type Interval } from '../core/time.ts';

/** Times in annotations have no fraction, and so a second's room. */
const wholeSecondMs = 1_000;

/**
 * Bounds on the holder's clock minus the API server's, in milliseconds, by one renewal; null for a time that names no instant.
 *
 * @param readAt bounds on the API server's time at which the holder read its clock
 */
export function offsetBy(renewTime: RecordedTime, readAt: Interval): Interval | null {
  if (renewTime.at === null) return null;
  const roomMs = /[.,]\d/.test(renewTime.raw) ? 0 : wholeSecondMs;
  return { min: renewTime.at - readAt.max, max: renewTime.at + roomMs - readAt.min };
}

/** LIMIT: what one renewal tells is a second wide; two apart is what no request's latency explains. */
const clockOffMs = 1_000;

/** A clause about a clock that is off for certain; null for one that may be in step. */
export function describeOffset({ min, max }: Interval): string | null {
  if (min <= clockOffMs && max >= -clockOffMs) return null;
  const off = min > 0 ? `${seconds(min)} or more ahead of` : `${seconds(-max)} or more behind`;
  return `its holder’s clock is ${off} the API server’s`;
}

/** What the renewals of one holder say together. */
export class ClockOffset {
  #holder: string | null = null;
  #known: Interval | null = null;
  /** What contradicts what is known: a slow request, or a clock that was set. The next renewal tells which. */
  #contrary: Interval | null = null;

  renewed(holder: string, sample: Interval): void {
    if (holder !== this.#holder) {
      this.#holder = holder;
      this.#known = null;
      this.#contrary = null;
    }
    const narrowed = this.#known === null ? sample : intersect(this.#known, sample);
    if (narrowed !== null) {
      this.#known = narrowed;
      this.#contrary = null;
      return;
    }
    const again = this.#contrary === null ? null : intersect(this.#contrary, sample);
    if (again === null) {
      this.#contrary = sample;
      return;
    }
    this.#known = again;
    this.#contrary = null;
  }

  /** Bounds in milliseconds, positive where the holder's clock is ahead; null before the first renewal. */
  bounds(): Interval | null {
    if (this.#known === null) return null;
    return this.#contrary === null ? this.#known : hull(this.#known, this.#contrary);
  }
}
