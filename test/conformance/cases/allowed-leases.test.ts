/** What well-behaved clients write to Leases passes lockwarden. */
import { allowedLeases } from './support/allowed-leases.ts';
import { startGround } from './support/ground.ts';

allowedLeases(startGround);
