/**
 * The cases of the semantics are numbered 1 to 56, and each is a test of this folder, named after it. Of two a part is
 * left out, since it needs a policy: 46 in which an administrator is exempt, and 52 in which the deletion is refused.
 */
import { expect, it } from 'vitest';

import { files, read } from '../../style/tree.ts';

const cases = Array.from({ length: 56 }, (_, index) => index + 1);

it('each case has a test', () => {
  const tests = files('test/conformance/cases/**/*.ts').map(read).join('\n');
  const title = /(?:\bit(?:\.runIf\(\w+\))?\(|\bit\.each\(\[[^;]*?\]\)\()\s*['`]case (?<number>\d+): /gu;
  const tested = [...tests.matchAll(title)].map((match) => Number(match.groups?.['number']));
  expect([...new Set(tested)].toSorted((a, b) => a - b)).toEqual(cases);
});
