/** The record of a judged violation as JSON Schema, for whoever reads logs with other tools. */
import { z } from 'zod';
import { rejectionRecordSchema } from './record-schema.ts';

/** The schema, closed: a log line has besides `level`, `time` and `msg`, which are the log's own. */
export const recordJsonSchema: object = {
  ...z.toJSONSchema(rejectionRecordSchema, { target: 'draft-7', reused: 'inline' }),
  title: 'RejectionRecord',
  description:
    'A judged violation, as lockwarden tells of it in logs, in its read API and in `lockwarden replay`.',
};
