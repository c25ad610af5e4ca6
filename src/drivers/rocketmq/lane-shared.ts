import type { BatchPool } from '../../lib/batch-pool.ts';
import type { FramePool } from '../../lib/frame-pool.ts';
import type { Groups } from './groups.ts';
import type { MessageDecoder } from './message/decode.ts';
import type { Network } from './network.ts';
import type { RocketmqDeps } from './options.ts';
import type { Routes } from './routes.ts';

/** What all lanes of a cluster share. */
export interface LaneShared {
  readonly deps: RocketmqDeps;
  readonly network: Network;
  readonly routes: Routes;
  readonly groups: Groups;
  readonly frames: FramePool;
  readonly batches: BatchPool;
  readonly decoder: MessageDecoder;
}
