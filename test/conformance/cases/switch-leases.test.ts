/** What well-behaved clients write to Leases passes the switch, too, while lockwarden is down. */
import { allowedLeases } from './support/allowed-leases.ts';
import { startSwitchGround } from './support/switch-ground.ts';

allowedLeases(startSwitchGround);
