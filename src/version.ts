/** Which lockwarden this is. */
import { readFileSync } from 'node:fs';

/**
 * The version of the package, such as `0.1.0`.
 * NB: the manifest stands beside `src` in a checkout and beside `dist` in a package.
 */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const isManifest = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return isManifest && typeof manifest.version === 'string' ? manifest.version : 'unknown';
}
