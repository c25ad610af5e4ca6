import type { Position } from '../../model/position.ts';
import { Places } from './places.ts';

/** More are counted and no longer told apart from late copies. */
const MOST = 65_536;

/** A record that the target has after a later one of its key. */
export interface Descent {
  readonly source: Position;
  readonly targetLane: number;
  readonly target: Position;
  readonly behind: Position;
}

/** Records of one source lane that come too late in the target; some of them are only further copies of records that came in time. */
export class Descents {
  readonly #source = new Places();
  readonly #target = new Places();
  readonly #behind = new Places();
  readonly #targetLane: number[] = [];
  #order: number[] | undefined;
  /** Those beyond the limit. */
  uncounted = 0;

  get length(): number {
    return this.#source.length;
  }

  add({ source, targetLane, target, behind }: Descent): void {
    if (this.#source.length >= MOST) {
      this.uncounted++;
      return;
    }
    this.#source.push(source.major, source.minor, source.index);
    this.#target.push(target.major, target.minor, target.index);
    this.#behind.push(behind.major, behind.minor, behind.index);
    this.#targetLane.push(targetLane);
    this.#order = undefined;
  }

  /** By their position in the source, ascending. */
  *sorted(): Iterable<Descent> {
    this.#order ??= this.#targetLane.map((_, i) => i).sort((a, b) => this.#compare(a, b));
    for (const i of this.#order) yield this.#at(i);
  }

  #at(i: number): Descent {
    return {
      source: this.#source.at(i),
      target: this.#target.at(i),
      behind: this.#behind.at(i),
      targetLane: this.#targetLane[i] ?? 0,
    };
  }

  #compare(a: number, b: number): number {
    const { major, minor, index } = this.#source.at(b);
    return this.#source.compare(a, major, minor, index) || a - b;
  }
}
