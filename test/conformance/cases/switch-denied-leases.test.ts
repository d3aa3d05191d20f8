/** What breaks the semantics of a Lease is refused by the switch, too, wherever stamps are enough to tell, while lockwarden is down. */
import { afterAll, beforeAll, vi } from 'vitest';

import { builtInDefaults } from '../../../src/core/settings.ts';
import type { Ground } from './support/ground.ts';
import { refusedByStamps } from './support/refused-by-stamps.ts';
import { startSwitchGround } from './support/switch-ground.ts';

// Most of a case's time is waiting until a lease has run out.
vi.setConfig({ maxConcurrency: 16 });

/** A stamp is of the whole second in which the write was stored. */
const stampResolutionMs = 1_000;

let ground: Ground;

beforeAll(async () => {
  ground = await startSwitchGround('denied-leases');
});

afterAll(() => ground.stop());

refusedByStamps(() => ground, builtInDefaults.toleranceMs + stampResolutionMs);
