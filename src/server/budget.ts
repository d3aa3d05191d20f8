/** Bytes that may be in flight at once; who asks for more than is left is refused at once instead of queued. */
export class ByteBudget {
  #left: number;

  /** @param bytes at least 0 */
  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes `bytes`, or nothing when fewer are left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Gives back what `take` took. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}
