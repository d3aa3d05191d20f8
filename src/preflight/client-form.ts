/**
 * Which client writes a lock, by what it calls itself and by the form of what it writes. It is for people: nothing is judged by it.
 * The forms are those of the recordings in test/fixtures/wire.
 */
import { nodeNamespace } from '../policy/built-in.ts';
import type { LockRecord, LockRef } from '../core/lock.ts';
import { at, isObject, textAt, type JsonObject } from '../locks/json.ts';
import { leaderAnnotation } from '../locks/annotation.ts';

/** By what a client's candidates judge that a lease has run out; null: not known. */
export type JudgesBy = 'what it observed' | 'the recorded time' | 'other rules' | null;

/** A client, as far as it can be told. */
export interface ClientForm {
  readonly name: string;
  /** `name`: it says so itself. `form`: it writes as this client does, and others may as well. */
  readonly by: 'name' | 'form';
  readonly judgesBy: JudgesBy;
}

/** What is known of whoever writes a lock. */
export interface ClientTraits {
  readonly lock: LockRef;
  /** The object while it was held. */
  readonly object: JsonObject;
  readonly record: LockRecord;
  /** User agents and field managers of those who took or renewed it. */
  readonly agents: readonly string[];
  /** Whether no renew time had microseconds, of three or more. */
  readonly onlyMilliseconds: boolean;
}

interface Known {
  readonly agent: RegExp;
  readonly name: string;
  readonly judgesBy: JudgesBy;
}

/** User agents, and the field managers that the API server makes of them: what stands before the first slash. */
const knownAgents: readonly Known[] = [
  { agent: /^fabric8-kubernetes-client/, name: 'fabric8 (Java)', judgesBy: 'the recorded time' },
  { agent: /^Kubernetes Java Client/, name: 'official Java client', judgesBy: 'what it observed' },
  { agent: /^OpenAPI-Generator/, name: 'official Python client', judgesBy: 'what it observed' },
  { agent: /^kube-lease-manager-/, name: 'kube-lease-manager (Rust)', judgesBy: 'the recorded time' },
  { agent: /^controller-runtime(\/|$)/, name: 'controller-runtime', judgesBy: 'what it observed' },
  // SOURCE: https://github.com/kubernetes/client-go/blob/master/rest/config.go (buildUserAgent)
  { agent: /^[^/]+\/\S+ \([^)]*\) kubernetes\/\S+/, name: 'client-go', judgesBy: 'what it observed' },
];

/** Recognises a client; null where it writes like no known one. */
export function clientFormOf(traits: ClientTraits): ClientForm | null {
  const special = specialForm(traits);
  if (special !== null) return special;
  for (const agent of traits.agents) {
    const known = knownAgents.find((each) => each.agent.test(agent));
    if (known !== undefined) return { name: known.name, by: 'name', judgesBy: known.judgesBy };
  }
  return byRecord(traits);
}

/** Clients that follow rules of their own, whatever library writes for them. */
function specialForm({ lock, object, record }: ClientTraits): ClientForm | null {
  const form = (name: string, judgesBy: JudgesBy = 'other rules'): ClientForm => ({
    name,
    by: 'form',
    judgesBy,
  });
  if (textAt(object, 'spec', 'strategy') !== '')
    return form('coordinated leader election', 'the recorded time');
  const istio =
    at(object, 'metadata', 'annotations', 'leader.istio.io/holder-key') !== undefined ||
    at(annotationOf(object), 'holderKey') !== undefined;
  if (istio || (lock.namespace === 'istio-system' && lock.name.startsWith('istio-'))) return form('Istio');
  if (textAt(object, 'metadata', 'labels', 'provider') === 'camel') return form('Apache Camel');
  if (lock.namespace === nodeNamespace && record.holder === lock.name) return form('kubelet heartbeat', null);
  // SOURCE: https://github.com/kubernetes/kubernetes/blob/master/pkg/controlplane/instance.go (IdentityLeaseComponentLabelKey)
  if (textAt(object, 'metadata', 'labels', 'apiserver.kubernetes.io/identity') !== '')
    return form('API server heartbeat', null);
  return null;
}

function byRecord({ lock, object, record, onlyMilliseconds }: ClientTraits): ClientForm | null {
  const form = (name: string, judgesBy: JudgesBy): ClientForm => ({ name, by: 'form', judgesBy });
  const annotated = annotationOf(object);
  if (at(annotated, 'leaseDuration') !== undefined) return form('fabric8 (Java)', 'the recorded time');
  if (textAt(annotated, 'leaseDurationSeconds') !== '')
    return form('official Python client', 'what it observed');
  if (record.renewTime === null)
    return record.acquireTime === null ? null : form('heartbeat in the acquire time (Pekko, Akka)', null);
  if (record.transitions === null) return form('counts no transitions (Python, JavaScript, Elixir)', null);
  if (onlyMilliseconds && lock.kind === 'Lease') return form('official Java client', 'what it observed');
  return record.leaseDurationMs === null || record.acquireTime === null
    ? null
    : form('client-go', 'what it observed');
}

function annotationOf(object: JsonObject): JsonObject | null {
  const text = textAt(object, 'metadata', 'annotations', leaderAnnotation);
  if (text === '') return null;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
