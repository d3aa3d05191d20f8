/**
 * `npm run kind:up`: a kind cluster with lockwarden installed from this checkout. What is there already is left as it is, so
 * that a second call only brings the image and the manifests up to date.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import { showProgress, withElapsed, type Progress } from '../../src/sandbox/progress.ts';
import { findEngine, root, run, type Engine } from './engine.ts';
import { buildImages, images } from './images.ts';
import { findKind } from './kind-program.ts';
import { readState, stateFolder, writeState, type ClusterState } from './state.ts';

const kubeconfig = join(stateFolder, 'kubeconfig');

async function up(env: NodeJS.ProcessEnv, progress: Progress): Promise<void> {
  const before = await readState();
  const cluster = env['LOCKWARDEN_KIND_CLUSTER'] ?? 'lockwarden';
  // What is made is written down before it is, so that `kind:down` finds what a failure leaves half made.
  let state: ClusterState = {
    cluster,
    kubeconfig,
    env: {},
    lab: before?.lab ?? null,
    isOwnCluster: before?.isOwnCluster ?? false,
    images,
  };
  const note = async (changed: Partial<ClusterState>): Promise<void> => {
    state = { ...state, ...changed };
    await writeState(state);
  };
  const engine = await findEngine({ env, progress, onLab: (lab) => note({ lab }) });
  const { PATH = '', DOCKER_HOST } = engine.env;
  await note({
    env: { PATH, KUBECONFIG: kubeconfig, ...(DOCKER_HOST === undefined ? {} : { DOCKER_HOST }) },
  });
  await run('kubectl', ['version', '--client'], engine.env);
  const kind = await findKind(engine.env, progress);
  if (!(await run(kind, ['get', 'clusters'], engine.env)).split('\n').includes(cluster)) {
    await note({ isOwnCluster: true });
    await withElapsed(`creating the kind cluster \`${cluster}\``, { progress }, () =>
      createCluster(kind, cluster, engine),
    );
  }
  await writeFile(kubeconfig, await run(kind, ['get', 'kubeconfig', '--name', cluster], engine.env), {
    mode: 0o600,
  });
  await withElapsed('building the images', { progress }, () => buildImages(engine));
  await withElapsed('loading the images', { progress }, () =>
    run(
      kind,
      ['load', 'docker-image', '--name', cluster, images.lockwarden, images.next, images.elector],
      engine.env,
    ),
  );
  await withElapsed('installing lockwarden', { progress }, () => install(engine));
  progress(`up; export KUBECONFIG=${kubeconfig}`);
}

async function createCluster(kind: string, cluster: string, { env, nodeImage }: Engine): Promise<void> {
  const config = ['--config', join(root, 'tools/kind/cluster.yaml')];
  const image = nodeImage === null ? [] : ['--image', nodeImage];
  // NB: kind writes to the kubeconfig it is told of, and a person's own is none of our business.
  const own = ['--kubeconfig', join(stateFolder, 'kind-kubeconfig')];
  await run(kind, ['create', 'cluster', '--name', cluster, '--wait', '5m', ...config, ...image, ...own], env);
}

/** Applies the manifests with the image that was built, and waits until they serve. */
async function install({ env }: Engine): Promise<void> {
  const overlay = join(stateFolder, 'overlay');
  const [name, tag] = images.lockwarden.split(':');
  await mkdir(overlay, { recursive: true });
  await writeFile(
    join(overlay, 'kustomization.yaml'),
    [
      'apiVersion: kustomize.config.k8s.io/v1beta1',
      'kind: Kustomization',
      'resources: [../../manifests/base]',
      'components: [../../manifests/components/read-api]',
      `images: [{ name: ghcr.io/lockwarden/lockwarden, newName: ${name ?? ''}, newTag: ${tag ?? ''} }]`,
      '',
    ].join('\n'),
  );
  const kubectl = (...args: readonly string[]): Promise<string> =>
    run('kubectl', [`--kubeconfig=${kubeconfig}`, ...args], env);
  await kubectl('apply', '-k', overlay);
  // The image has the same name each time, and a Deployment that is unchanged would go on with the one before.
  await kubectl('-n', 'lockwarden-system', 'rollout', 'restart', 'deployment/lockwarden');
  await kubectl('-n', 'lockwarden-system', 'rollout', 'status', 'deployment/lockwarden', '--timeout=5m');
}

const shown = showProgress(process.stdout);
try {
  await up(process.env, shown.progress);
} catch (error) {
  process.stderr.write(`kind:up: ${messageOf(error)}\n`);
  process.exitCode = 1;
} finally {
  shown.done();
}
