/**
 * The shorter form of an audit event in which clients are recorded for this project: one object a request, at the level RequestResponse,
 * with `at` and `done` for the times, and `uri`, `code`, `request` and `response`.
 */
import { isObject, textAt, type JsonObject } from '../locks/json.ts';

/** The event that such a line tells of; null for anything else. */
export function recordedEvent(value: unknown): JsonObject | null {
  if (!isObject(value) || 'kind' in value) return null;
  const { objectRef, verb, user, userAgent, code, request, response, annotations } = value;
  const [at, done] = [textAt(value, 'at'), textAt(value, 'done')];
  if (at === '' || done === '' || !isObject(objectRef)) return null;
  return {
    ...{ kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'RequestResponse', stage: 'ResponseComplete' },
    // Nothing in it names the request, and no two requests of one object arrive within one microsecond.
    auditID: `${at} ${textAt(objectRef, 'name')}`,
    ...{ verb, user, userAgent, objectRef, annotations },
    requestURI: textAt(value, 'uri'),
    responseStatus: { code, message: textAt(response, 'message') },
    ...{ requestObject: request, responseObject: response },
    ...{ requestReceivedTimestamp: at, stageTimestamp: done },
  };
}
