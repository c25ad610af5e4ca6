import { toIsthmusError } from '../../errors.ts';
import type { Position } from '../../model/position.ts';
import type { GroupProgress } from '../../model/progress.ts';
import type { Log } from '../../spi/log.ts';
import type { StateStore } from '../../spi/state-store.ts';

/** What the source said of one mirror's topics, at a moment. */
export interface SourceSide {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly progress: readonly GroupProgress[];
  /** By topic and lane: the position that the next record gets. */
  readonly ends: Readonly<Record<string, Readonly<Record<string, Position>>>>;
}

const VERSION = 1;

/** The last that the source of a link has said, over the loss of the source and over a restart of this process: a failover without a source starts from it. */
export class KeptProgress {
  readonly #store: StateStore;
  readonly #log: Log;
  readonly #note: string;
  readonly #sides = new Map<string, SourceSide>();
  #saved = '';
  #loaded = false;

  constructor(link: string, store: StateStore, log: Log) {
    this.#store = store;
    this.#log = log;
    this.#note = `groups/${link}`;
  }

  set(mirror: string, side: SourceSide): void {
    this.#sides.set(mirror, side);
  }

  /** `undefined` when the source was never seen. */
  async get(mirror: string): Promise<SourceSide | undefined> {
    if (!this.#loaded) await this.#load();
    return this.#sides.get(mirror);
  }

  /** Writes it down where something has changed. A store that is away costs nothing but an older note. */
  async save(): Promise<void> {
    const sides = [...this.#sides].map(([mirror, { progress, ends }]) => [mirror, progress, ends]);
    const text = JSON.stringify(sides);
    if (text === this.#saved) return;
    try {
      await this.#store.saveNote(this.#note, JSON.stringify({ version: VERSION, sides: [...this.#sides] }));
      this.#saved = text;
    } catch (error) {
      this.#log.warn('groups-not-kept', { detail: toIsthmusError(error).message });
    }
  }

  async #load(): Promise<void> {
    const text = await this.#store.loadNote(this.#note);
    this.#loaded = true;
    if (text === undefined) return;
    for (const [mirror, side] of parse(text)) if (!this.#sides.has(mirror)) this.#sides.set(mirror, side);
  }
}

/** What another version has written counts as nothing: an older place would be worse than none. */
function parse(text: string): readonly (readonly [string, SourceSide])[] {
  try {
    const note: unknown = JSON.parse(text);
    const known = typeof note === 'object' && note !== null && Reflect.get(note, 'version') === VERSION;
    // Written by `save` of the same version.
    return known ? (Reflect.get(note, 'sides') as readonly (readonly [string, SourceSide])[]) : [];
  } catch {
    return [];
  }
}
