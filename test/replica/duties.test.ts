import { beforeEach, describe, expect, it } from 'vitest';
import { NotLeading } from '../../src/election/elector.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { ConfigurationMissing } from '../../src/kube/webhook-registration.ts';
import { Duties, type DutiesOptions, type Steward, type Term } from '../../src/replica/duties.ts';
import type { Registrar } from '../../src/replica/registrar.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

let time: ManualTime;
let logger: RecordingLogger;
/** What was done, in order. */
let done: string[];
let ending: AbortController;
/** What each step does; the last one goes on for ever. */
let steps: ((publish: (caBundle: string) => Promise<void>) => Promise<boolean>)[];
let publish: (caBundle: string) => Promise<void>;
let mayRegister: boolean;

const nothing = (): Promise<boolean> => Promise.resolve(false);
const tickMs = 1_000;

beforeEach(() => {
  time = new ManualTime();
  logger = new RecordingLogger();
  done = [];
  ending = new AbortController();
  steps = [nothing];
  publish = () => Promise.resolve();
  mayRegister = true;
});

function create(): Duties {
  const steward: Steward = {
    step: (_term, publishing) => {
      done.push('step');
      const step = (steps.length > 1 ? steps.shift() : steps[0]) ?? nothing;
      return step(publishing);
    },
    notice: () => {
      done.push('notice');
    },
  };
  const registrar = {
    publish: (caBundle: string) => {
      done.push(`publish ${caBundle}`);
      return publish(caBundle);
    },
    stop: () => {
      done.push('registrar stopped');
      return Promise.resolve();
    },
  } as unknown as Registrar;
  const options: DutiesOptions = {
    steward,
    registrar,
    mayRegister: () => mayRegister,
    onFailure: () => {
      done.push('failure');
    },
    onUnregistered: (reason) => {
      done.push(`unregistered: ${reason}`);
    },
    logger,
    sleep: time.sleep,
    tickMs,
  };
  return new Duties(options);
}

function term(): Term {
  return { signal: ending.signal, fence: 1, guard: () => undefined, remainingMs: () => Infinity };
}

describe('the duties of a leader', () => {
  it('look at once, then once a tick, and leave the registration where it is when the term ends', async () => {
    const running = create().run(term());
    await time.asleep(tickMs, tickMs);
    time.advance(tickMs);
    await time.asleep(tickMs, tickMs);
    ending.abort();
    await running;
    expect(done).toEqual(['step', 'step', 'registrar stopped']);
    expect(logger.lines).toEqual([]);
  });

  it('go on without a pause while there is more to do', async () => {
    steps = [() => Promise.resolve(true), () => Promise.resolve(true), nothing];
    void create().run(term());
    await time.asleep(tickMs, tickMs);
    expect(done).toEqual(['step', 'step', 'step']);
  });

  it('look again when something has changed, also when that was during a look', async () => {
    const looking = Promise.withResolvers<boolean>();
    steps = [() => looking.promise, nothing];
    const duties = create();
    void duties.run(term());
    duties.wake();
    looking.resolve(false);
    await time.asleep(tickMs, tickMs);
    expect(done).toEqual(['step', 'notice', 'step']);
    duties.wake();
    await time.asleep(tickMs, tickMs);
    expect(done.slice(3)).toEqual(['notice', 'step']);
  });

  it('publish nothing while nobody could be called', async () => {
    mayRegister = false;
    steps = [(publishing) => publishing('bundle').then(() => false), nothing];
    void create().run(term());
    await time.asleep(tickMs, tickMs);
    expect(done).toEqual(['step']);
  });

  it('tell why a registration was refused, and try again later and later, whatever happens meanwhile', async () => {
    const refused = new KubeError('forbidden', 'it may not');
    publish = () => Promise.reject(refused);
    steps = [(publishing) => publishing('bundle').then(() => false)];
    const duties = create();
    void duties.run(term());
    for (let round = 0; round < 6; round += 1) {
      const pauseMs = await time.asleep(1, 3_000);
      duties.wake();
      time.advance(pauseMs);
      await Promise.resolve();
    }
    const round = ['step', 'publish bundle', 'unregistered: it may not', 'failure', 'notice'];
    expect(done.slice(0, 10)).toEqual([...round, ...round]);
    expect(new Set(logger.lines)).toEqual(new Set(['warn webhook not registered']));
    expect(Math.max(...time.slept)).toBeGreaterThan(tickMs);
    expect(time.slept[0]).toBeLessThanOrEqual(200);
  });

  it('look no sooner than the API server asks for', async () => {
    const busy = new KubeError('server-error', 'it is busy', { retryAfterMs: 20_000 });
    steps = [() => Promise.reject(busy), nothing];
    void create().run(term());
    await time.asleep(20_000, 25_000);
    expect(done).toEqual(['step', 'failure']);
  });

  it.each([
    ['an API server that fails', new KubeError('server-error', 'it failed'), {}],
    ['a lease that is in doubt', new NotLeading('lockwarden', 'uncertain'), {}],
    ['a defect', new TypeError('x is no function'), { err: expect.any(TypeError) as unknown }],
  ])('tell of %s in one line, and look anew', async (_, error, more) => {
    steps = [() => Promise.reject(error), nothing];
    void create().run(term());
    time.advance(await time.asleep(1, 200));
    await time.asleep(tickMs, tickMs);
    expect(done).toEqual(['step', 'failure', 'step']);
    expect(logger.lines).toEqual(['warn a step of the leader failed']);
    expect(logger.fields).toEqual([
      { reason: error.message, retryInMs: expect.any(Number) as number, ...more },
    ]);
  });

  it('say nothing of a step that was cut off by the end of the term', async () => {
    const cut = Promise.withResolvers<boolean>();
    steps = [() => cut.promise];
    const running = create().run(term());
    ending.abort();
    cut.reject(new KubeError('unreachable', 'gone'));
    await running;
    expect(done).toEqual(['step', 'registrar stopped']);
    expect(logger.lines).toEqual([]);
  });

  it('take a configuration that nobody has applied for no failure of theirs', async () => {
    publish = () => Promise.reject(new ConfigurationMissing(new KubeError('forbidden', 'may not create')));
    steps = [(publishing) => publishing('PEM').then(() => false)];
    void create().run(term());
    await time.asleep(tickMs, tickMs);
    expect(done).toEqual([
      'step',
      'publish PEM',
      expect.stringMatching(/^unregistered: .*apply lockwarden’s manifests/),
    ]);
    expect(logger.lines).toEqual([]);
  });
});
