/**
 * The whole command, bundled: a pod reads a few files and not a thousand when it starts, what a command does not need it does not
 * load, and an image holds what is used and nothing else.
 */
import { fileURLToPath } from 'node:url';

import { build, type Metafile, type Plugin } from 'esbuild';

/** The checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** NB: packages of the CommonJS kind `require` Node's own modules, which a module can only do by a `require` that it makes. */
const requireForCommonJs =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

const client = '@kubernetes/client-node';

/**
 * client-node does not declare that loading its modules does nothing, so 5 MB of generated models would come along with the
 * kubeconfig. It does nothing, but for a polyfill for Node 18.
 */
const onlyWhatIsUsedOfTheClient: Plugin = {
  name: 'only what is used of client-node',
  setup: (builder) => {
    const asked = Symbol('asked');
    const stub = fileURLToPath(new URL('no-models.ts', import.meta.url));
    builder.onResolve({ filter: /^[.@]/ }, async ({ path, pluginData, importer, resolveDir, kind }) => {
      if (pluginData === asked) return undefined;
      if (path === './gen/index.js' && importer.endsWith('/dist/portforward.js')) return { path: stub };
      if (path !== client && !importer.includes(`/node_modules/${client}/`)) return undefined;
      const found = await builder.resolve(path, { importer, resolveDir, kind, pluginData: asked });
      return { ...found, sideEffects: false };
    });
  },
};

/**
 * Writes the program into `folder` as `lockwarden.js` and what it loads, each with the map to its source. Resolves to what
 * went into it.
 */
export async function bundle(folder: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { lockwarden: 'tools/image/entry.ts' },
    outdir: folder,
    // NB: beside the entry, since src/version.ts looks for the manifest one folder up.
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // NB: the `main` of jsonc-parser is of a kind (UMD) whose parts a bundler does not find.
    mainFields: ['module', 'main'],
    alias: { undici: './tools/image/no-undici.ts' },
    plugins: [onlyWhatIsUsedOfTheClient],
    banner: { js: requireForCommonJs },
    // Not minified: names in a stack trace are worth a megabyte on a disk. `NODE_OPTIONS=--enable-source-maps` gives lines, too.
    sourcemap: 'linked',
    sourcesContent: false,
    // Whole licences go beside it (licences.ts).
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}
