import type { Position } from '../model/position.ts';

/** The newest record that any lane of a mirror has stored in a target partition, by `partitionKey`. */
export class PartitionEnds {
  readonly #ends = new Map<string, Position>();

  /** The newest receipt counts, also where it is lower: a target topic that was made again begins at its beginning. */
  note(key: string, place: Position): void {
    this.#ends.set(key, place);
  }

  get(key: string): Position | undefined {
    return this.#ends.get(key);
  }
}
