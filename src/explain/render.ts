/** An explanation as people and programs read it. */
import { stringify } from 'yaml';
import { columns } from './columns.ts';
import { protections } from '../switch/protection.ts';
import type { Explanation } from './explanation.ts';

/** How to print. */
export type OutputFormat = 'table' | 'json' | 'yaml';

/** Prints an explanation, with a line end. */
export function render(explanation: Explanation, format: OutputFormat): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(explanation, null, 2)}\n`;
    case 'yaml':
      return stringify(explanation, { lineWidth: 0 });
    case 'table':
      return table(explanation);
  }
}

function table(explanation: Explanation): string {
  const { lock, guarded, policies, values, rules, conflicts, whileDown } = explanation;
  if (!guarded) return `${lock} is not guarded: neither the built-in defaults nor a policy covers it.\n`;
  const rows = (header: readonly string[], body: readonly (readonly string[])[]): string =>
    columns([header, ...body]);
  return [
    `${lock}: ${holding(explanation)}`,
    takeover(explanation),
    policies.length === 0
      ? 'No policy covers it: the built-in defaults hold.'
      : `Policies, the most specific last: ${policies.join(', ')}.`,
    `While lockwarden is down: ${whileDown}${whileDown === 'Unknown' ? '' : `, ${protections[whileDown]}`}.`,
    ...conflicts.map((conflict) => `Conflict: ${conflict}.`),
    '',
    rows(
      ['SETTING', 'VALUE', 'FROM'],
      values.map(({ name, value, from }) => [name, value, from]),
    ),
    '',
    rows(
      ['RULE', 'ENFORCEMENT', 'FROM'],
      rules.map(({ reason, enforcement, from }) => [reason, enforcement, from]),
    ),
    '',
  ].join('\n');
}

function holding({ exists, holder }: Explanation): string {
  if (!exists) return 'does not exist; what follows holds once it does.';
  return holder === null ? 'nobody holds it.' : `held by \`${holder}\`.`;
}

function takeover({ takeover: met }: Explanation): string {
  const messages = met?.messages.map((message) => `\n  ${message}`).join('') ?? '';
  switch (met?.outcome) {
    case 'Deny':
      return `A takeover now would be refused:${messages}`;
    case 'Warn':
      return `A takeover now would pass, with a warning:${messages}`;
    case 'Allow':
      return 'A takeover now would pass.';
    case 'Free':
    case undefined:
      return 'There is nothing to take over: anybody may acquire it.';
  }
}
