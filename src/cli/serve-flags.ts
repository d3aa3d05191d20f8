/** What `serve` and `start` can be told. */
import type { Command } from 'commander';
import { logLevels } from '../review/log-level.ts';
import { booleanFlag, flag, withWords } from './flag.ts';

const replicas = 'Replicas (durations such as 15s):';
const certificates = 'Certificates (durations such as 720h):';

const election = [
  ['--leader-elect-lease-duration <duration>', 'when others take over from a leader that is silent; 15s'],
  ['--leader-elect-renew-deadline <duration>', 'when a leader that cannot renew gives up; 10s'],
  ['--leader-elect-retry-period <duration>', 'pause between two attempts; 2s'],
  ['--replica-name <name>', 'how this replica calls itself; the host name'],
  [
    '--shutdown-grace-period <duration>',
    'how long callers may take to leave; 100s, 2500ms for one that is alone',
  ],
] as const;

const lifetimes = [
  ['--ca-validity <duration>', 'life of an authority; 8760h'],
  ['--certificate-validity <duration>', 'life of a serving certificate; 720h'],
  ['--publish-dwell <duration>', 'from a new authority in the bundle to a certificate of it; 30s'],
  ['--retire-after <duration>', 'how long an authority is trusted after it was replaced; 24h'],
  [
    '--tls-secret <name>',
    'serve tls.crt and tls.key of a Secret, with its ca.crt to trust, instead of one’s own',
  ],
  ['--tls-dir <folder>', 'the same from files, such as a mounted Secret'],
] as const;

/** Adds the flags. Defaults that are no text are those of src/config.ts. */
export function withServeFlags(command: Command): Command {
  command
    .addOption(flag('--kubeconfig <file>', 'kubeconfig of the cluster to guard'))
    .addOption(flag('--context <name>', 'context of the kubeconfig'))
    .addOption(flag('-n, --namespace <name>', 'lockwarden’s own namespace').default('lockwarden-system'))
    .addOption(flag('--port <port>', 'HTTPS port for reviews').default('9443'))
    .addOption(flag('--health-port <port>', 'HTTP port for /livez, /readyz and /metrics').default('8080'))
    .addOption(
      flag('--read-port <port>', 'HTTPS port for reading rejections and locks; without it nobody can'),
    )
    .addOption(flag('--bind-address <ip>', 'address to listen on').default('0.0.0.0'))
    .addOption(
      flag('--webhook-url <url>', 'register this URL instead of the Service: for serving from outside'),
    )
    .addOption(booleanFlag('--inspect-renewals', 'have plain renewals reviewed too').default(false))
    .addOption(
      booleanFlag(
        '--stand-in',
        'have the API server refuse premature takeovers by itself while lockwarden is down',
      ).default(true),
    )
    .addOption(
      booleanFlag(
        '--generate-policies',
        'write the ValidatingAdmissionPolicies by which it does; false where you apply those of `lockwarden render`',
      ).default(true),
    )
    .addOption(
      withWords(flag('--log-level <level>', 'what is logged: this, and what is worse'), logLevels).default(
        'info',
      ),
    )
    .addOption(
      booleanFlag(
        '--leader-elect',
        'elect one replica to own certificates and registration; true, or with --webhook-url false',
      ).helpGroup(replicas),
    );
  for (const [flags, description] of election) {
    command.addOption(flag(flags, description).helpGroup(replicas));
  }
  for (const [flags, description] of lifetimes) {
    command.addOption(flag(flags, description).helpGroup(certificates));
  }
  return command;
}
