/** What a holder has: the epoch grows with every change of hands, so that what an older holder still writes can be told. */
export interface Lease {
  readonly epoch: number;
}

/** Somebody else has it. */
export interface LeaseHeld {
  readonly heldBy: string;
  /** Milliseconds until it can be taken if it is not renewed. */
  readonly freeInMillis: number;
}

/**
 * Short leases by name: who may write where the target itself keeps nobody out. Times are durations, never times of day, so that a clock step moves nothing. Every
 * call rejects with STATE_UNAVAILABLE when the store does not answer.
 */
export interface LeaseStore {
  /** Takes the lease, or renews it for the same `owner`. A store that was just emptied gives none before `ttlMillis` have passed, because a former holder may still write. */
  acquire(name: string, owner: string, ttlMillis: number): Promise<Lease | LeaseHeld>;
  /** Gives it back at once; nothing happens when it is somebody else's. */
  release(name: string, owner: string): Promise<void>;
}
