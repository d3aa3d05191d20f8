/**
 * An admission controller as people write it with Pepr, and the least that one does: one rule that looks at the object before and after,
 * and allows the write. It is what lockwarden's own figures stand beside.
 *
 * JavaScript, since the checkout's TypeScript does not have Pepr's types: Pepr is not among what the project itself depends on.
 */
import { readFileSync } from 'node:fs';

import { a, Capability, PeprModule } from 'pepr';

const capability = new Capability({ name: 'allow-all', description: 'Looks at locks, and allows' });

/** Of this name nothing is allowed, so that one can tell whether the rule was asked: Pepr allows as well what no rule is about. */
const refused = 'refused';

const validate = (request) =>
  [request.Raw, request.OldResource].some((each) => each?.metadata?.name === refused)
    ? request.Deny(`${refused} is refused`)
    : request.Approve();

// Pepr has no class of its own for a Lease.
const lease = { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' };
capability.When(a.GenericKind, lease).IsUpdated().Validate(validate);
capability.When(a.ConfigMap).IsUpdated().Validate(validate);

const manifest = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
new PeprModule(manifest, [capability], { deferStart: true }).start(Number(process.env['PORT']));
