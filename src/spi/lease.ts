/** What a holder has: the epoch grows with every change of hands, so that what an older holder still writes can be told. */
export interface Lease {
  readonly epoch: number;
}

/** Somebody else has it, or had it and may still believe so. */
export interface LeaseHeld {
  /** Empty when nobody is known: the store is new to us and may have been emptied, so that a former holder is waited for. */
  readonly heldBy: string;
  /** Milliseconds until it can be taken if it is not renewed. */
  readonly freeInMillis: number;
}

/**
 * Short leases by name: who may write where the target itself keeps nobody out.
 *
 * No clock but the caller's own monotonic one is asked, so that a clock step moves nothing: a holder counts `ttlMillis` from *before* its call and writes no more after; whoever
 * waits takes the lease when it has seen no renewal for `ttlMillis`. So a waiter has to ask again and again, and a lease that lapsed is waited for by its own former holder,
 * too (a store that went back in time may have forgotten who came in between). All callers use one `ttlMillis`.
 * Every call rejects with STATE_UNAVAILABLE when the store does not answer; whether it was carried out is not known then, and asking again tells.
 */
export interface LeaseStore {
  /** Takes the lease, or renews it for the same `owner`. A store that was just emptied gives none before `ttlMillis` have passed, because a former holder may still write. */
  acquire(name: string, owner: string, ttlMillis: number): Promise<Lease | LeaseHeld>;
  /** The same for many names, answered in their order. One round trip where all are renewed. */
  acquireAll(names: readonly string[], owner: string, ttlMillis: number): Promise<(Lease | LeaseHeld)[]>;
  /** Gives it back at once; nothing happens when it is somebody else's. Also ends waiting for it. */
  release(name: string, owner: string): Promise<void>;
  releaseAll(names: readonly string[], owner: string): Promise<void>;
}
