/** Where the objects of the switch are in the API. */
import { objectAt, stringAt, type JsonObject } from '../kube/json.ts';

const group = '/apis/admissionregistration.k8s.io/v1';

const plurals: Readonly<Record<string, string>> = {
  ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
  ValidatingAdmissionPolicyBinding: 'validatingadmissionpolicybindings',
};

/** Whether an object is a policy, and not a binding. */
export function isPolicy(object: JsonObject): boolean {
  return stringAt(object, 'kind') === 'ValidatingAdmissionPolicy';
}

/** Path of the collection that an object is in. */
export function collectionOf(object: JsonObject): string {
  return `${group}/${plurals[stringAt(object, 'kind')] ?? ''}`;
}

/** Its name. */
export function nameOf(object: JsonObject): string {
  return stringAt(objectAt(object, 'metadata'), 'name');
}

/** Path of the object. */
export function pathOf(object: JsonObject): string {
  return `${collectionOf(object)}/${nameOf(object)}`;
}

/** As `kubectl` takes it: `validatingadmissionpolicy/lockwarden-switch`. */
export function describeObject(object: JsonObject): string {
  return `${stringAt(object, 'kind').toLowerCase()}/${nameOf(object)}`;
}
