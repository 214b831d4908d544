// Setup of every test file: ends what the file shared among its tests (see broker.ts), in order, after the last of them.
// Costs nothing where nothing was shared. A worker that dies takes its brokers along by their own guard.
import { afterAll } from 'vitest';
import { disposeShared } from './worker-resources.ts';

afterAll(disposeShared);
