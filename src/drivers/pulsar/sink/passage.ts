import { SLAB_BYTES, type Slab, type SlabPool } from '../../../lib/slab.ts';
import type { Held } from './entry.ts';
import { holdBytes, isSparse } from './round.ts';

/** Slabs of a writer's passed entries that are not stored yet. */
const MAX_SLABS = 8;

/** Room for one entry, from `at` on, and who holds it. */
export interface PassageRoom {
  readonly bytes: Buffer;
  readonly at: number;
  readonly held: Held;
  /** The entry ends here: the next one follows without a gap, so that both can leave as one piece. */
  endAt(end: number): void;
}

/** Memory for entries that are passed on: they lie one behind the other in slabs, each of which goes back when all of its entries are stored. */
export class Passage {
  readonly #pool: SlabPool;
  #open: SharedSlab | undefined;
  #slabs = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** `undefined` when the bound is reached; `first`, for a writer that holds nothing, is always granted. */
  take(bytes: number, first: boolean): PassageRoom | undefined {
    // A lone small entry does not deserve a slab: many slow lanes would each hold one that is nearly empty.
    if (first && isSparse(bytes))
      return { bytes: Buffer.allocUnsafe(bytes), at: 0, held: holdBytes(this.#pool, bytes), endAt: () => undefined };
    if (this.#open?.fits(bytes) !== true) {
      if (this.#slabs >= MAX_SLABS && !first) return undefined;
      const slab = this.#pool.take(bytes, first);
      if (slab === undefined) return undefined;
      this.#slabs++;
      const shared: SharedSlab = new SharedSlab(slab, this.#pool, () => {
        this.#slabs--;
        if (this.#open === shared) this.#open = undefined;
      });
      this.#open = shared;
    }
    return this.#open.take();
  }

  /** Whether `take` would grant `bytes` now. */
  hasRoom(bytes: number, first: boolean): boolean {
    return first || this.#open?.fits(bytes) === true || (this.#slabs < MAX_SLABS && this.#pool.hasRoom(bytes, false));
  }
}

/** A slab of several entries that leave one by one. */
class SharedSlab implements Held, PassageRoom {
  readonly bytes: Buffer;
  /** Where the entry begins that has room now. */
  at = 0;
  readonly #slab: Slab;
  readonly #pool: SlabPool;
  readonly #onEmpty: () => void;
  #end = 0;
  #users = 0;
  #reusable = true;

  constructor(slab: Slab, pool: SlabPool, onEmpty: () => void) {
    this.#slab = slab;
    this.bytes = slab.bytes;
    this.#pool = pool;
    this.#onEmpty = onEmpty;
  }

  fits(bytes: number): boolean {
    return this.#end + bytes <= Math.min(this.#slab.bytes.length, SLAB_BYTES);
  }

  get held(): Held {
    return this;
  }

  /** After `fits`, and before anything else: `endAt`. */
  take(): PassageRoom {
    this.#users++;
    this.at = this.#end;
    return this;
  }

  endAt(end: number): void {
    this.#end = end;
  }

  release(): void {
    if (--this.#users > 0) return;
    if (this.#reusable) this.#pool.give(this.#slab);
    else this.#pool.drop(this.#slab.bytes.length);
    this.#onEmpty();
  }

  abandon(): void {
    this.#reusable = false;
    this.release();
  }
}
