/**
 * The command line: what can be said, and which function hears it. Every flag can also be given as a variable.
 */
import { Argument, Command, Option } from 'commander';
import type { ServeOptions } from '../config.ts';
import { enforcements } from '../core/reasons.ts';
import { findingCodes } from '../locks-report/findings.ts';
import type { CertsRotateOptions } from './certs-rotate.ts';
import type { CertsStatusOptions } from './certs-status.ts';
import { addCompletion, type CompletionActions } from './completion-command.ts';
import type { ExplainOptions } from './explain.ts';
import { flag, withWords } from './flag.ts';
import { addReview, type ReviewActions } from './review-flags.ts';
import type { LintOptions } from './lint.ts';
import type { LocksOptions } from './locks.ts';
import type { PreflightOptions } from './preflight.ts';
import type { RenderOptions } from './render.ts';
import type { ReplayOptions } from './replay.ts';
import { withServeFlags } from './serve-flags.ts';
import type { TestOptions } from './test.ts';

/** The functions behind the commands. Each resolves to the exit code. */
export interface Actions extends ReviewActions, CompletionActions {
  serve(options: ServeOptions): Promise<number>;
  start(options: StartOptions): Promise<number>;
  explain(options: ExplainOptions): Promise<number>;
  preflight(options: PreflightOptions): Promise<number>;
  replay(options: ReplayOptions): Promise<number>;
  locks(options: LocksOptions): Promise<number>;
  lint(options: LintOptions): Promise<number>;
  test(options: TestOptions): Promise<number>;
  render(options: RenderOptions): Promise<number>;
  certsStatus(options: CertsStatusOptions): Promise<number>;
  certsRotate(options: CertsRotateOptions): Promise<number>;
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
    // NB: without it here and at `review`, flags after `review show` would be taken for those of `review`.
    .enablePositionalOptions()
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

  addPreflight(program, actions, hear);
  addReplay(program, actions, hear);
  addLocks(program, actions, hear);
  addExplain(program, actions, hear);
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

  addRender(program, actions, hear);
  addReview(program, actions, hear);
  addCerts(program, actions, hear);
  addCompletion(program, actions, hear);
  return program;
}

function addPreflight(program: Command, actions: Actions, hear: (exitCode: number) => void): void {
  withClusterFlags(program.command('preflight'))
    .description(
      'Look at a cluster’s locks before lockwarden guards them: which policy to start with, and who would be denied.',
    )
    .addOption(new Option('-n, --namespace <name>', 'look at the locks of one namespace; by default of all'))
    .addOption(new Option('--for <duration>', 'how long to watch; Ctrl-C ends it early').default('1m'))
    .addOption(
      new Option('--audit-log <file>', 'read an audit log (`-`: standard input) instead, without a cluster'),
    )
    .addOption(output('table', 'wide', 'json', 'yaml'))
    .addOption(ownNamespace())
    .addHelpText('after', preflightExamples)
    .action(async (options: PreflightOptions) => {
      hear(await actions.preflight(options));
    });
}

function addReplay(program: Command, actions: Actions, hear: (exitCode: number) => void): void {
  program
    .command('replay')
    .description(
      'Judge the writes in an audit log by given policies: what would have been refused, by whom, how often.',
    )
    .argument(
      '<file...>',
      'audit logs, gzip or not, rotated or of several API servers; `-` is standard input',
    )
    .addOption(
      new Option(
        '-f, --policies <path>',
        'file or folder with policies, may be repeated; by default the built-in ones',
      )
        .default([], 'none')
        .argParser(collected),
    )
    .addOption(new Option('-n, --namespace <name>', 'only locks of this namespace; by default of all'))
    .addOption(output('table', 'wide', 'json', 'yaml', 'csv'))
    .addOption(
      new Option('--records', 'print the records as lines of a log, for `lockwarden review`').default(false),
    )
    .addOption(
      withWords(
        new Option(
          '--fail-on <enforcements>',
          'end with 3 where one of these is found, several separated by commas',
        ),
        [...enforcements, 'any'],
      ),
    )
    .addOption(ownNamespace())
    .addHelpText('after', replayExamples)
    .action(async (files: string[], options: Omit<ReplayOptions, 'files'>) => {
      hear(await actions.replay({ ...options, files }));
    });
}

/** NB: a flag that takes several values at once would take the log for one of them. */
function collected(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function addLocks(program: Command, actions: Actions, hear: (exitCode: number) => void): void {
  withClusterFlags(program.command('locks'))
    .description(
      'List the locks of a cluster: who holds each, since when, which policy holds for it, and what is wrong with it.',
    )
    .addOption(new Option('-n, --namespace <name>', 'list one namespace; by default the context’s'))
    .addOption(new Option('-A, --all-namespaces', 'list all namespaces').default(false))
    .addOption(new Option('-w, --watch', 'then print each lock that changes, until Ctrl-C').default(false))
    .addOption(
      new Option('--sort-by <key>', 'in which order')
        .choices(['name', 'age', 'lease', 'changes', 'findings'])
        .default('name'),
    )
    .addOption(
      withWords(
        new Option(
          '--fail-on <findings>',
          'end with 3 where one of these is found, several separated by commas',
        ),
        ['any', ...findingCodes],
      ),
    )
    .addOption(output('table', 'wide', 'json', 'yaml', 'name'))
    .addOption(ownNamespace())
    .addHelpText('after', locksExamples)
    .action(async (options: LocksOptions) => {
      hear(await actions.locks(options));
    });
}

function addExplain(program: Command, actions: Actions, hear: (exitCode: number) => void): void {
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
}

function addRender(program: Command, actions: Actions, hear: (exitCode: number) => void): void {
  withOwnNamespace(withClusterFlags(program.command('render')))
    .description(
      'Print the policies by which the API server refuses premature takeovers while lockwarden is down, to apply them yourself.',
    )
    .argument('[file...]', 'files, folders, or `-`: policies; by default those of the cluster')
    .addOption(flag('--service-account <name>', 'lockwarden’s ServiceAccount').default('lockwarden'))
    .addOption(output('yaml', 'json'))
    .addHelpText('after', renderExamples)
    .action(async (files: string[], options: Omit<RenderOptions, 'files'>) => {
      hear(await actions.render({ ...options, files }));
    });
}

function addCerts(program: Command, actions: Actions, hear: (exitCode: number) => void): void {
  const certs = program
    .command('certs')
    .description('Look after the certificates of several replicas.')
    .addHelpText('after', certsExamples);

  withOwnNamespace(withClusterFlags(certs.command('status')))
    .description(
      'Say whom API servers trust, what each replica serves, where a rotation stands and what comes next.',
    )
    .addOption(output('table', 'json', 'yaml'))
    .addHelpText('after', certsStatusExamples)
    .action(async (options: CertsStatusOptions) => {
      hear(await actions.certsStatus(options));
    });

  withOwnNamespace(withClusterFlags(certs.command('rotate')))
    .description('Ask the leader for a new authority, or a new leaf under the present one.')
    .addArgument(new Argument('[what]', 'what to renew').choices(['authority', 'leaf']).default('authority'))
    .addOption(new Option('--wait', 'show each step until every replica serves it').default(false))
    .addOption(new Option('--timeout <duration>', 'with --wait: give up after this time').default('5m'))
    .addHelpText('after', certsRotateExamples)
    .action(async (what: CertsRotateOptions['what'], options: Omit<CertsRotateOptions, 'what'>) => {
      hear(await actions.certsRotate({ ...options, what }));
    });
}

function withOwnNamespace(command: Command): Command {
  return command.addOption(
    flag('-n, --namespace <name>', 'lockwarden’s own namespace').default('lockwarden-system'),
  );
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

const programExamples = `
Examples:
  lockwarden start                                   try it on an embedded control plane
  lockwarden serve                                   guard the cluster it runs in
  lockwarden preflight                               what it would say of a cluster’s locks, before it is installed
  lockwarden replay audit.log -f policies/           what policies would have said of the writes in an audit log
  lockwarden locks -A                                every lock: who holds it, and what is wrong with it
  lockwarden explain lease/my-operator -n team       what holds for a lock, and why
  lockwarden lint policies/                          mistakes in policies, with file and line
  lockwarden test policies/                          what policies do, tried on timelines of writes
  lockwarden render policies/                        what stands in for lockwarden while it is down, to apply it yourself
  lockwarden review --cluster --since 12h            which takeovers were refused, and why
  lockwarden certs status                            what API servers trust and replicas serve, and what comes next
  source <(lockwarden completion bash)               complete all of this in bash; also in zsh and fish
  lockwarden serve --kubeconfig F --webhook-url https://10.0.0.7:9443
                                                     guard a cluster from outside`;

const preflightExamples = `
Examples:
  lockwarden preflight                            watch the cluster for a minute
  lockwarden preflight --for 1h -n team -o wide   one namespace for an hour; all columns
  lockwarden preflight --audit-log audit.log      what an API server has recorded, with who wrote
  ssh control-plane cat audit.log | lockwarden preflight --audit-log - -o json | jq .conclusion

Nothing is written to the cluster. The exit code is 0 when nothing that was seen would be denied, 3 when something would be,
1 when there was nothing to look at (no rights, no API server, an audit log that cannot be used), 2 for wrong usage.`;

const replayExamples = `
Examples:
  lockwarden replay audit.log                            by the built-in defaults
  lockwarden replay audit*.log audit*.log.gz -f policies/ -o wide
  kubectl get lockpolicies,clusterlockpolicies,namespaces -A -o yaml > now.yaml; lockwarden replay audit.log -f now.yaml
  ssh control-plane cat audit.log | lockwarden replay - --fail-on Deny
  lockwarden replay audit.log --records | lockwarden review -o wide

Files may be given in any order. Lines that cannot be used are counted, and what was not judged is said, with the reason. No cluster
is asked and nothing is written. The exit code is 0, 3 where --fail-on has found something, 1 where a log cannot be read or holds
nothing that could be judged, 2 for wrong usage or policies that are wrong.`;

const locksExamples = `
Examples:
  lockwarden locks                                      of the context’s namespace
  lockwarden locks -A -o wide --sort-by age             of all namespaces, the longest without a renewal first
  lockwarden locks -n team -w                           and then each that changes
  lockwarden locks -A --fail-on expired,pod-gone        for scripts: exit code 3 where one is found
  lockwarden locks -A -w --fail-on flapping -o json     end as soon as one is found; one JSON object a line

Findings:
  expired      its lease has run out, and nobody has taken it
  pod-gone     its holder’s pod does not run any more
  flapping     it changes hands all the time
  clock-off    its holder’s clock is off
  durations    it cannot work with its durations, or is not protected
  untimed      it is held without a promise in time
  unreadable   its record cannot be read
  unguarded    lockwarden does not judge it

Nothing is written to the cluster. Ages are by the API server’s clock. What may not be read is named on standard error, and
the rest is shown. The exit code is 0, 3 where --fail-on has found something (\`any\`: everything but unguarded), 1 where no
lock can be listed, 2 for wrong usage.`;

const explainExamples = `
Examples:
  lockwarden explain lease/my-operator -n team
  lockwarden explain cm/legacy-lock -n team -o yaml`;

const certsExamples = `
Examples:
  lockwarden certs status
  lockwarden certs rotate --wait`;

const certsStatusExamples = `
Examples:
  lockwarden certs status
  lockwarden certs status -n lockwarden-system -o json | jq .findings

It reads the Secret, the webhook configuration, the Lease and what the replicas say, and writes nothing; without rights on
Secrets it shows the rest. The exit code is 0 when all is in order, 1 when something is not.`;

const certsRotateExamples = `
Examples:
  lockwarden certs rotate               a new authority; the old one stays trusted for a while
  lockwarden certs rotate leaf --wait   a new serving certificate, and how it comes about

No call fails for it. The exit code is 0 once it is asked for (with --wait: confirmed), 1 when it is not confirmed in time.`;

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

const renderExamples = `
Examples:
  lockwarden render policies/ > switch.yaml        from files, without a cluster
  lockwarden render --context dev | kubectl diff -f -
                                                   from the policies of a cluster: what the leader writes there
  kubectl get clusterlockpolicies,lockpolicies,namespaces -A -o yaml | lockwarden render -

Two ValidatingAdmissionPolicies and their bindings. The leader keeps them up to date by itself; have it leave them to you
with \`serve --generate-policies=false\`, and render them again with each change of a policy. Nothing is written to the cluster.
The exit code is 0, 1 where the cluster cannot be read, 2 for policies that cannot be.`;

const serveExamples = `
Examples:
  lockwarden serve --kubeconfig ~/.kube/config --context dev --port 9443 --webhook-url https://127.0.0.1:9443
  LOCKWARDEN_LOG_LEVEL=debug lockwarden serve

Several replicas behind the Service \`lockwarden\` elect one that rotates certificates and keeps the registration, the
ValidatingWebhookConfiguration \`lockwarden\`, which outlives them. A process that is alone (--webhook-url) takes its
registration away at the end; if it is killed: kubectl delete validatingwebhookconfiguration lockwarden`;

const startExamples = `
Examples:
  lockwarden start                      an embedded kube-apiserver and etcd, a short scene, then yours to try
  lockwarden start --once               end after the scene; exit code 0 only if every step went as told
  lockwarden start --kubeconfig F --webhook-url https://10.0.0.7:9443
                                        guard that cluster`;
