import type { StartOptions } from './program.ts';
import { serve } from './serve.ts';

/** placeholder */
export function start(options: StartOptions): Promise<number> {
  return serve(options);
}
