/** What can be said to `lockwarden review`. */
import { Option, type Command } from 'commander';
import { flag } from './flag.ts';
import type { LiveOptions } from './live-options.ts';
import type { ReviewSourceOptions } from './review-io.ts';
import type { ReviewShowOptions } from './review-show.ts';
import type { ReviewTimelineOptions } from './review-timeline.ts';
import type { ReviewOptions } from './review.ts';

/** The functions behind them. Each resolves to the exit code. */
export interface ReviewActions {
  review(options: ReviewOptions): Promise<number>;
  reviewShow(options: ReviewShowOptions): Promise<number>;
  reviewTimeline(options: ReviewTimelineOptions): Promise<number>;
}

/** Adds the commands. */
export function addReview(program: Command, actions: ReviewActions, hear: (exitCode: number) => void): void {
  const review = withLive(withSources(program.command('review')))
    .description('Show which writes to locks were refused, from lockwarden’s logs: who, what, why.')
    .enablePositionalOptions()
    .argument('[files...]', 'logs; `-` is standard input')
    .addOption(new Option('-n, --namespace <name>', 'only locks of this namespace'))
    .addOption(new Option('--lock <lock>', 'only this lock: lease/NAME, or a name'))
    .addOption(new Option('--reason <reason>', 'only this reason, such as PrematureTakeover'))
    .addOption(new Option('--holder <identity>', 'only where this identity holds the lock, or would'))
    .addOption(new Option('-f, --follow', 'go on as lines are written').default(false))
    .addOption(new Option('--limit <count>', 'how many of the newest to show').default('200'))
    .addOption(output('table', 'wide', 'json', 'yaml', 'csv'))
    .addHelpText('after', reviewExamples)
    .action(async (files: string[], options: Omit<ReviewOptions, 'files'>) => {
      hear(await actions.review({ ...options, files }));
    });

  withLive(withSources(review.command('show')))
    .description(
      'Tell the whole story of one: who, what, since when, which rule, and what to do if it was wrong.',
    )
    .argument('<uid>', 'the uid of the review, or the beginning of it')
    .argument('[files...]', 'logs; `-` is standard input')
    .addOption(new Option('-n, --namespace <name>', 'only locks of this namespace'))
    .addOption(output('text', 'json', 'yaml'))
    .addHelpText('after', showExamples)
    .action(async (uid: string, files: string[], options: Omit<ReviewShowOptions, 'uid' | 'files'>) => {
      hear(await actions.reviewShow({ ...options, uid, files }));
    });

  withSources(review.command('timeline'))
    .description('Draw who held a lock when, with gaps and rejections.')
    .argument('<lock>', 'lease/NAME, configmap/NAME or endpoints/NAME')
    .argument('[files...]', 'logs; `-` is standard input')
    .addOption(new Option('-n, --namespace <name>', 'the lock’s namespace').default('default'))
    .addOption(output('text', 'html', 'json'))
    .addHelpText('after', timelineExamples)
    .action(async (lock: string, files: string[], options: Omit<ReviewTimelineOptions, 'lock' | 'files'>) => {
      hear(await actions.reviewTimeline({ ...options, lock, files }));
    });
}

type SourceFlags = Exclude<keyof ReviewSourceOptions, 'files' | 'namespace' | keyof LiveOptions>;

/** Each with its key in ReviewSourceOptions. */
const sourceFlags: Readonly<Record<SourceFlags, () => Option>> = {
  cluster: () => new Option('--cluster', 'read the logs of all replicas of a cluster').default(false),
  previous: () =>
    new Option('--previous', 'with --cluster: also of containers that ended before a restart').default(false),
  since: () => new Option('--since <duration>', 'only what happened this long ago at most: 30m, 12h, 7d'),
  kubeconfig: () => flag('--kubeconfig <file>', 'with --cluster: kubeconfig of the cluster'),
  context: () => flag('--context <name>', 'with --cluster: context of the kubeconfig'),
  lockwardenNamespace: () =>
    new Option('--lockwarden-namespace <name>', 'with --cluster: lockwarden’s own namespace')
      .env('LOCKWARDEN_NAMESPACE')
      .default('lockwarden-system'),
};

function withSources(command: Command): Command {
  return Object.values(sourceFlags).reduce((all, make) => all.addOption(make()), command);
}

/** Each with its key in LiveOptions. */
const liveFlags: Readonly<Record<keyof LiveOptions, () => Option>> = {
  live: () =>
    new Option('--live', 'ask the replicas themselves, by the read API, instead of logs').default(false),
  serviceAccount: () =>
    new Option(
      '--service-account <name>',
      'whose token is asked for and shown: NAME, of -n, or NAMESPACE/NAME',
    ),
  tokenFile: () => new Option('--token-file <file>', 'a token for the audience `lockwarden-review` instead'),
  server: () =>
    new Option(
      '--server <url>',
      'https://HOST:PORT of the read API, instead of a port-forward to each replica',
    ),
  serverName: () => new Option('--server-name <name>', 'the name that the certificate has to have'),
  caFile: () =>
    new Option('--ca-file <file>', 'whom to trust, instead of the webhook configuration’s bundle'),
  readPort: () => new Option('--read-port <port>', 'the pods’ port, where they name none `review`; 9444'),
};

function withLive(command: Command): Command {
  for (const make of Object.values(liveFlags)) command.addOption(make().helpGroup('With --live:'));
  return command;
}

function output(first: string, ...others: readonly string[]): Option {
  return new Option('-o, --output <format>', 'how to print').choices([first, ...others]).default(first);
}

const exitCodes =
  'The exit code is 0 when the logs were read, 1 when they could not be (or do not tell of what was asked), 2 for wrong usage.';

const reviewExamples = `
Examples:
  lockwarden review --cluster --since 1h             the last hour, of all replicas
  lockwarden review --cluster -f -n team             as it happens
  lockwarden review --live -n team --service-account reader
                                                     by the read API, for whoever may not read logs
  lockwarden review a.log b.log -o wide              files, put together by time; with the UIDs
  kubectl logs deploy/lockwarden -n lockwarden-system | lockwarden review --reason PrematureTakeover
  lockwarden review --cluster --since 7d -o csv > refused.csv

Lines that other programs wrote are skipped; lines that were cut are counted. ${exitCodes}`;

const showExamples = `
Examples:
  lockwarden review show 8f14e45f --cluster
  lockwarden review show 8f14e45f --live -n team --service-account reader
  lockwarden review show 8f14e45f-ceea-4e1c-9f3d-0a1b2c3d4e5f replica-*.log

${exitCodes}`;

const timelineExamples = `
Examples:
  lockwarden review timeline lease/orders -n team --cluster --since 6h
  lockwarden review timeline lease/orders -n team -o html replica-*.log > orders.html

The HTML file needs nothing else and runs no script. ${exitCodes}`;
