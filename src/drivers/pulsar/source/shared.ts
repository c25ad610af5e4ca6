import type { BatchPool } from '../../../lib/batch-pool.ts';
import type { ByteBudget } from '../../../lib/byte-budget.ts';
import type { FramePool } from '../../../lib/frame-pool.ts';
import type { Rest } from '../admin/rest.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import type { PulsarDeps } from '../options.ts';
import type { EntryHeader } from '../wire/entry-header.ts';
import type { RecordDecoder } from './record-decoder.ts';

/** What all lanes that are read from a cluster share. */
export interface SourceShared {
  readonly pool: BrokerPool;
  readonly rest: Rest;
  readonly deps: PulsarDeps;
  readonly frames: FramePool;
  readonly batches: BatchPool;
  readonly decoder: RecordDecoder;
  /** For whoever looks at an entry and is done before anybody else does. */
  readonly header: EntryHeader;
  /** How many lanes are open on each budget. */
  readonly lanes: Map<ByteBudget, number>;
}
