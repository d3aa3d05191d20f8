/**
 * The sentence that a person reads when a write is refused: which lock, who holds it, since when by which evidence,
 * how long still to wait, which rule and which policy.
 */
import type { Context } from './context.ts';
import { isTimed, type EvidenceSource, type PromiseExpiry } from './expiry.ts';
import { describeLock } from './lock.ts';
import { reasons } from './reasons.ts';
import type { Finding } from './finding.ts';

/** LIMIT: the API server cuts a Status message nowhere, but logs and events do; 1,024 holds any sentence built here. */
const messageMaxLength = 1024;
/** LIMIT: identities are host names with a suffix (253 + 37); what is longer is not meant for reading. */
const quotedMaxLength = 300;

/**
 * One sentence for one finding, ending in the rule and the policy that applied it. Plain ASCII, but for what others wrote: it is read in
 * terminals of any locale, and one character beyond Latin-1 has V8 keep and copy an answer at twice its size (docs/performance.md).
 */
export function messageFor(finding: Finding, context: Context): string {
  const what =
    finding.detail === '' ? reasons[finding.reason] : `${reasons[finding.reason]} (${finding.detail})`;
  const promise = promiseOf(finding, context);
  const rule = `[lockwarden ${finding.clause} ${finding.reason}, ${context.settings.policy}]`;
  const note = context.settings.note === '' ? [] : [context.settings.note];
  const sentence = [`${describeLock(context.write.lock)}: ${what}`, ...promise, ...note, rule].join('; ');
  return sentence.length <= messageMaxLength ? sentence : `${sentence.slice(0, messageMaxLength - 3)}...`;
}

/** Text from a lock, safe to put into a sentence: bounded, control characters escaped, in backticks. */
export function quote(text: string): string {
  const cut = text.length <= quotedMaxLength ? text : `${text.slice(0, quotedMaxLength)}...`;
  return `\`${cut.replace(/[\p{C}`]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`)}\``;
}

function promiseOf(finding: Finding, { expiry, buried }: Context): readonly string[] {
  const about = finding.clause === 'C3' || finding.clause === 'U3' ? buried : expiry;
  if (!isTimed(about)) return [];
  const { holder, leaseDurationMs, ageMs, source } = about;
  const held = `held by ${quote(holder)} for ${seconds(leaseDurationMs)} at a time`;
  const renewed = `last renewed ${describeAge(ageMs)} ago (${evidenceWords[source]})`;
  return about.verdict === 'live' ? [held, renewed, `free in at most ${waitOf(about)}`] : [held, renewed];
}

const evidenceWords: Readonly<Record<EvidenceSource, string>> = {
  observed: 'as lockwarden observed',
  stamped: "by the API server's stamp",
  recorded: "by the holder's own record only",
};

function describeAge(ageMs: { readonly min: number; readonly max: number }): string {
  if (ageMs.max === Infinity) return `at least ${seconds(ageMs.min)}`;
  const [min, max] = [seconds(ageMs.min), seconds(ageMs.max)];
  return min === max ? min : `${min} to ${max}`;
}

function waitOf(expiry: PromiseExpiry): string {
  return `${String(Math.max(1, Math.ceil((expiry.leaseDurationMs - expiry.ageMs.min) / 1000)))} s`;
}

/** A duration in sentences, to a tenth of a second. */
export function seconds(ms: number): string {
  return `${String(Math.round(ms / 100) / 10)} s`;
}
