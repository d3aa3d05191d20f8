/**
 * One candidate of an election with lockwarden's elector, as a process of its own. Flags, output and exit codes are those
 * of client-go's (test/client-go/elector), so that both are run alike.
 *
 * While it leads it acts, some dozens of times a second: it asks the guard, and writes down when it was let pass.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Elector, leaseLock, NotLeading, type Term } from '../../../src/election/elector.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';

/** For how long an act takes: the guard vouches for that. */
const actMs = 50;

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string', default: '' },
    namespace: { type: 'string', default: '' },
    name: { type: 'string', default: '' },
    identity: { type: 'string', default: '' },
    'lease-duration': { type: 'string', default: '15000ms' },
    'renew-deadline': { type: 'string', default: '10000ms' },
    'retry-period': { type: 'string', default: '2000ms' },
    'release-on-cancel': { type: 'string', default: 'false' },
  },
});
const { identity, namespace, name } = values;

function say(event: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, at: new Date().toISOString(), identity, ...more })}\n`);
}

async function act(term: Term): Promise<void> {
  say('started-leading', { fence: term.fence });
  while (!term.signal.aborted) {
    try {
      term.guard(actMs);
      say('acted', { fence: term.fence, forMs: actMs });
    } catch (error) {
      if (!(error instanceof NotLeading)) throw error;
    }
    // What has begun is brought to its end, also where the term ends meanwhile.
    await sleep(actMs);
  }
}

const milliseconds = (text: string): number => Number(text.replace(/ms$/, ''));
const stop = new AbortController();
process.on('SIGTERM', () => {
  stop.abort();
});
const elector = new Elector({
  lock: leaseLock({ api: loadKubeconfig({ file: values.kubeconfig }), namespace, name, identity }),
  leaseDurationMs: milliseconds(values['lease-duration']),
  renewDeadlineMs: milliseconds(values['renew-deadline']),
  retryPeriodMs: milliseconds(values['retry-period']),
  releaseOnStop: values['release-on-cancel'] === 'true',
  onStartedLeading: act,
  onStoppedLeading: () => {
    say('stopped-leading');
  },
  onNewLeader: (leader) => {
    say('new-leader', { leader: leader ?? '' });
  },
  log: {
    info: () => undefined,
    warn: (fields, message) => {
      say('error', { message, error: JSON.stringify(fields) });
    },
    error: (fields, message) => {
      say('error', { message, error: JSON.stringify(fields) });
    },
  },
});
say('started');
process.exitCode = (await elector.run(stop.signal)) === 'stopped' ? 0 : 1;
