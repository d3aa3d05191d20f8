import { expect, it } from 'vitest';
import { span } from '../../src/core/span.ts';

it.each([
  [-5, '0s'],
  [999, '0s'],
  [8_400, '8s'],
  [250_000, '4m 10s'],
  [3_600_000, '1h'],
  [29 * 86_400_000 + 4 * 3_600_000 + 59_000, '29d 4h'],
])('%d ms are %s', (ms, text) => {
  expect(span(ms)).toBe(text);
});
