/** The format of suites as JSON Schema, for editors and for telling unknown fields. */
import { z } from 'zod';
import type { JsonSchema } from '../policy/json-schema.ts';
import { suiteSchema } from './format.ts';

/** The schema, closed: a field that it does not list is wrong. */
export const suiteJsonSchema: JsonSchema = {
  ...(z.toJSONSchema(suiteSchema, { io: 'input', target: 'draft-7', reused: 'inline' }) as JsonSchema),
  title: 'LockTest',
  description: 'A suite of tests of lock policies, for `lockwarden test`.',
};
