/**
 * How large a review may be before it is parsed. Parsing is synchronous, so whoever can reach the port could otherwise
 * stall every other admission call with one body: 7 MB of opening brackets keep JSON.parse busy for two seconds, the
 * same bytes as one string for fifty milliseconds. What costs is not bytes but values, and values can be counted fast.
 */

/**
 * LIMIT: the largest review that an API server can send about an object that it can store. etcd takes 1.5 MiB a request
 * (`--max-request-bytes`), stored as protobuf; a review holds the object twice, as JSON, in which Go writes each of `<`,
 * `>` and `&` in six bytes: 2 x 1.5 MiB x 6 = 18 MiB, and 2 MiB for keys, user and options. The customary 7 MiB (twice
 * the 3 MiB of a request body, and one) would leave a lock padded with such characters impossible to judge, and so
 * either impossible to protect or impossible to repair.
 * SOURCE: https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/server/config.go (MaxRequestBodyBytes)
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/runtime/serializer/json/json.go (doEncode: encoding/json, which escapes for HTML)
 */
export const reviewBytesMax = 20 * 1024 * 1024;

/**
 * LIMIT: a thousand managedFields entries, before and after, are 40,000 values, and Endpoints with 5,000 addresses
 * 80,000. Twice that parses in about 100 ms at worst (as many different keys), and takes some 15 MB.
 */
export const reviewValuesMax = 160_000;

/** LIMIT: every body of up to this many bytes parses within 20 ms whatever it holds, so it is not worth counting. */
export const uncountedBytesMax = 64 * 1024;

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openBracket = 0x5b;
const openBrace = 0x7b;

/**
 * LIMIT: a search by the runtime takes as long to begin as a loop over so many bytes. They are looked at one by one before each, so that neither
 * short strings nor escapes, however many there are, cost more than twice what they cost a loop.
 */
const loopBytes = 64;

/**
 * Whether a JSON text holds more than `max` values, counted as openings and separators outside strings. Total: any
 * bytes will do. Takes about 2 ns a byte outside long strings, next to nothing within, and stops as soon as it knows.
 */
export function holdsMoreValues(json: Buffer, max: number): boolean {
  let values = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) {
      at = endOfString(json, at + 1);
    } else if (byte === comma || byte === openBracket || byte === openBrace) {
      values++;
      if (values > max) return true;
    }
  }
  return false;
}

/** Where the closing quote stands of the string whose text begins at `start`; the end of the bytes where there is none. */
function endOfString(json: Buffer, start: number): number {
  let searchFrom = start + loopBytes;
  for (let at = start; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) return at;
    if (byte === backslash) at++;
    if (at < searchFrom) continue;
    const found = json.indexOf(quote, at + 1);
    if (found === -1) return json.length;
    if (!isEscaped(json, at + 1, found)) return found;
    at = found;
    searchFrom = found + loopBytes;
  }
  return json.length;
}

/** Whether the byte at `at` is escaped, in a string of which `start` is a place that is not. */
function isEscaped(json: Buffer, start: number, at: number): boolean {
  let backslashes = 0;
  while (at - backslashes > start && json[at - backslashes - 1] === backslash) backslashes++;
  return backslashes % 2 === 1;
}
