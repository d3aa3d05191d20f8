/** `npm run kind:down`: takes away what `kind:up` made, the Docker engine of a lab included. */
import { messageOf } from '../../src/errors.ts';
import { run } from './engine.ts';
import { findKind } from './kind-program.ts';
import { forgetState, readState } from './state.ts';

async function down(): Promise<string> {
  const state = await readState();
  if (state === null) return 'nothing is up';
  try {
    const env = { ...process.env, ...state.env };
    if (state.isOwnCluster)
      await run(await findKind(env), ['delete', 'cluster', '--name', state.cluster], env);
  } finally {
    // A lab takes its clusters with it, however its engine does.
    if (state.lab !== null) await run(state.lab, ['down'], process.env);
    await forgetState();
  }
  return `what was made for the cluster \`${state.cluster}\` is gone`;
}

try {
  process.stdout.write(`${await down()}\n`);
} catch (error) {
  process.stderr.write(`kind:down: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
