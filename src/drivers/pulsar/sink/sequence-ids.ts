import type { Position } from '../../../model/position.ts';

/** Entries of a ledger that have ids of their own; what lies beyond gets the next free ones. */
const ENTRIES_OF_LEDGER = 2 ** 16;

/**
 * Gives a lane's entries the ids by which brokers know copies: they only ever grow, from one entry to the next of the same producer name.
 *
 * With queue offsets an id is the offset itself. With ledgers and entries it is `ledger * 2^16 + entry` where that is free, else the next one that is: several entries may be
 * made of one, and ids have to stay exact in a double. So an id says about where a record was read, and its mark says where exactly.
 */
export class SequenceIds {
  #last = -1;
  #accepted = -1;

  /** The broker has accepted this id under our name, so that it would take a lower one for a copy. Offsets stay themselves nevertheless: they are what people look for. */
  raise(accepted: number): void {
    this.#accepted = Math.max(this.#accepted, accepted);
  }

  /** The lowest and the highest id of an entry that holds the records from `first` to `last`. */
  take(first: Position, last: Position): readonly [lowest: number, highest: number] {
    const lowest = this.#free(first);
    const highest = Math.max(lowest, idOf(last));
    this.#last = highest;
    return [lowest, highest];
  }

  /** One id, as that of an entry which shares its round's positions with others. */
  takeOne(first: Position): number {
    return (this.#last = this.#free(first));
  }

  #free(position: Position): number {
    const next = this.#last + 1;
    return position.minor < 0 ? Math.max(position.major, next) : Math.max(idOf(position), next, this.#accepted + 1);
  }
}

function idOf({ major, minor }: Position): number {
  if (minor < 0) return major;
  const id = major * ENTRIES_OF_LEDGER + Math.min(minor, ENTRIES_OF_LEDGER - 1);
  return Number.isSafeInteger(id) ? id : 0;
}
