/**
 * The command line: what can be said, and which function hears it. Every flag can also be given as a variable.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ServeOptions } from '../config.ts';
import type { ExplainOptions } from './explain.ts';
import type { LintOptions } from './lint.ts';
import type { TestOptions } from './test.ts';

/** The functions behind the commands. Each resolves to the exit code. */
export interface Actions {
  serve(options: ServeOptions): Promise<number>;
  start(options: StartOptions): Promise<number>;
  explain(options: ExplainOptions): Promise<number>;
  lint(options: LintOptions): Promise<number>;
  test(options: TestOptions): Promise<number>;
}

/** What `start` is told: with a kubeconfig it guards that cluster, without one it brings its own. */
export interface StartOptions extends ServeOptions {
  readonly once: boolean;
}

/** Builds the program. `hear` takes the exit code of whatever command ran. */
export function buildProgram(actions: Actions, version: string, hear: (exitCode: number) => void): Command {
  const program = new Command('lockwarden')
    .description(
      'Makes the Kubernetes API server refuse takeovers that break leader-election lease semantics.',
    )
    .version(version)
    .showHelpAfterError('(run `lockwarden --help` for what can be said)')
    .addHelpText('after', programExamples);

  withServeFlags(program.command('serve'))
    .description('Serve the admission webhook and register it with the cluster.')
    .addHelpText('after', serveExamples)
    .action(async (options: ServeOptions) => {
      hear(await actions.serve(options));
    });

  withServeFlags(program.command('start'))
    .description('Guard a cluster that is named, or try lockwarden on an embedded one.')
    .addOption(new Option('--once', 'end after the scene on the embedded control plane').default(false))
    .addHelpText('after', startExamples)
    .action(async (options: StartOptions) => {
      hear(await actions.start(options));
    });

  withClusterFlags(program.command('explain'))
    .description(
      'Say which policy holds for a lock, where each value comes from, and what a takeover would meet now.',
    )
    .argument('<lock>', 'lease/NAME, configmap/NAME or endpoints/NAME')
    .addOption(new Option('-n, --namespace <name>', 'the lock’s namespace; by default the context’s'))
    .addOption(output('table', 'json', 'yaml'))
    .addOption(ownNamespace())
    .addHelpText('after', explainExamples)
    .action(async (lock: string, options: Omit<ExplainOptions, 'lock'>) => {
      hear(await actions.explain({ ...options, lock }));
    });

  program
    .command('lint')
    .description('Say what is wrong with policies, with file and line, before they are applied.')
    .argument('<file...>', 'files, folders, or `-` for standard input')
    .addOption(output('text', 'json'))
    .addOption(ownNamespace())
    .addHelpText('after', lintExamples)
    .action(async (files: string[], options: { output: string; lockwardenNamespace: string }) => {
      const { output: format, lockwardenNamespace: namespace } = options;
      hear(await actions.lint({ files, output: format, namespace }));
    });

  program
    .command('test')
    .description(
      'Try policies on timelines of writes: offline in milliseconds, or on a cluster that lockwarden guards.',
    )
    .argument(
      '[path...]',
      'suites (*.locktest.yaml), folders, or `-` for standard input; by default this folder',
    )
    .addOption(new Option('--run <regex>', 'only tests in whose SUITE/NAME this finds something'))
    .addOption(output('tree', 'json', 'junit'))
    .addOption(new Option('--watch', 'run again when files change').default(false))
    .addOption(
      new Option('--cluster', 'run on a cluster, with real identities and real waiting').default(false),
    )
    .addOption(new Option('--kubeconfig <file>', 'with --cluster: kubeconfig of the cluster'))
    .addOption(new Option('--context <name>', 'with --cluster: context of the kubeconfig'))
    .addOption(
      new Option('--scale <factor>', 'with --cluster: play tests in this part of their time').default('1'),
    )
    .addHelpText('after', testExamples)
    .action(async (paths: string[], options: Omit<TestOptions, 'paths'>) => {
      hear(await actions.test({ ...options, paths }));
    });

  return program;
}

function withClusterFlags(command: Command): Command {
  return command
    .addOption(flag('--kubeconfig <file>', 'kubeconfig of the cluster'))
    .addOption(flag('--context <name>', 'context of the kubeconfig'));
}

function output(first: string, ...others: readonly string[]): Option {
  return new Option('-o, --output <format>', 'how to print').choices([first, ...others]).default(first);
}

/** Where `-n` is the lock's namespace, as with kubectl. */
function ownNamespace(): Option {
  const option = new Option('--lockwarden-namespace <name>', 'lockwarden’s own namespace');
  return option.env('LOCKWARDEN_NAMESPACE').default('lockwarden-system');
}

function withServeFlags(command: Command): Command {
  return command
    .addOption(flag('--kubeconfig <file>', 'kubeconfig of the cluster to guard'))
    .addOption(flag('--context <name>', 'context of the kubeconfig'))
    .addOption(flag('-n, --namespace <name>', 'lockwarden’s own namespace').default('lockwarden-system'))
    .addOption(flag('--port <port>', 'HTTPS port for reviews').default('9443'))
    .addOption(flag('--health-port <port>', 'HTTP port for /livez, /readyz and /metrics').default('8080'))
    .addOption(flag('--bind-address <ip>', 'address to listen on').default('0.0.0.0'))
    .addOption(
      flag('--webhook-url <url>', 'register this URL instead of the Service: for serving from outside'),
    )
    .addOption(
      flag('--inspect-renewals [boolean]', 'have plain renewals reviewed too')
        .preset('true')
        .argParser(booleanOf)
        .default(false),
    )
    .addOption(flag('--log-level <level>', 'error, warn, info or debug').default('info'));
}

/** A flag with the variable that stands for it: `--health-port` is LOCKWARDEN_HEALTH_PORT. */
function flag(flags: string, description: string): Option {
  const option = new Option(flags, description);
  return option.env(`LOCKWARDEN_${option.name().toUpperCase().replaceAll('-', '_')}`);
}

/** NB: of a flag without a value, commander takes any variable for yes, `false` included. */
function booleanOf(value: string): boolean {
  if (value === 'true') return true;
  if (value === 'false') return false;
  throw new InvalidArgumentError('Give true or false.');
}

const programExamples = `
Examples:
  lockwarden start                                   try it on an embedded control plane
  lockwarden serve                                   guard the cluster it runs in
  lockwarden explain lease/my-operator -n team       what holds for a lock, and why
  lockwarden lint policies/                          mistakes in policies, with file and line
  lockwarden test policies/                          what policies do, tried on timelines of writes
  lockwarden serve --kubeconfig F --webhook-url https://10.0.0.7:9443
                                                     guard a cluster from outside`;

const explainExamples = `
Examples:
  lockwarden explain lease/my-operator -n team
  lockwarden explain cm/legacy-lock -n team -o yaml`;

const lintExamples = `
Examples:
  lockwarden lint policies/
  kubectl get lockpolicies,clusterlockpolicies -A -o yaml | lockwarden lint -

The exit code is 0 without errors (there may be warnings), 1 with errors, 2 for a file that cannot be read.`;

const testExamples = `
Examples:
  lockwarden test policies/
  lockwarden test --run takeover -o junit policies/strict-client-go
  lockwarden test --cluster --kubeconfig F --scale 0.2 policies/

The exit code is 0 when all tests passed, 1 when some failed, 2 for a suite that cannot be read.`;

const serveExamples = `
Examples:
  lockwarden serve --kubeconfig ~/.kube/config --context dev --port 9443 --webhook-url https://127.0.0.1:9443
  LOCKWARDEN_LOG_LEVEL=debug lockwarden serve

While it runs, the ValidatingWebhookConfiguration \`lockwarden\` is registered; it is removed at the end. If the process
is killed: kubectl delete validatingwebhookconfiguration lockwarden`;

const startExamples = `
Examples:
  lockwarden start                      an embedded kube-apiserver and etcd, a short scene, then yours to try
  lockwarden start --once               end after the scene; exit code 0 only if every step went as told
  lockwarden start --kubeconfig F --webhook-url https://10.0.0.7:9443
                                        guard that cluster`;
