import type { TransformRule } from '../../model/mirror-spec.ts';
import { type ExtraProperty, PROPERTY_ROW, type RecordBatch } from '../../model/record-batch.ts';
import { matchesGlob } from '../../model/topic-name.ts';
import type { Stage } from '../../spi/stage.ts';
import { globMatchesAt, isAt } from './property-bytes.ts';

interface Name {
  readonly text: string;
  readonly bytes: Buffer;
}

interface Renamed {
  readonly from: Name;
  readonly to: Name;
}

/** Records that only lose properties make no list. */
const NOTHING: readonly ExtraProperty[] = [];

const nameOf = (text: string): Name => ({ text, bytes: Buffer.from(text) });

/** The stage of a mirror's transform rule, `undefined` when it changes nothing. Only what gets a new name or value becomes text; the rest is rows that move. */
export function transformBy(rule: TransformRule): Stage | undefined {
  const changes = new Changes(rule);
  if (changes.none) return undefined;
  return (batch, verdicts) => {
    let first = batch.propertyFirst[0] ?? 0;
    let rows = 0;
    batch.propertyFirst[0] = 0;
    for (let i = 0; i < batch.count; i++) {
      const end = batch.propertyFirst[i + 1] ?? first;
      if (verdicts[i] === undefined) {
        rows = changes.apply(batch, i, first, end, rows);
      } else {
        batch.properties.copyWithin(rows * PROPERTY_ROW, first * PROPERTY_ROW, end * PROPERTY_ROW);
        rows += end - first;
      }
      batch.propertyFirst[i + 1] = rows;
      first = end;
    }
  };
}

class Changes {
  readonly #dropped: readonly Name[];
  readonly #renamed: readonly Renamed[];
  readonly #set: ExtraProperty[];
  readonly #setNames: readonly Name[];
  /** Names that the record at hand gets by being renamed, so that what had them goes. */
  readonly #replaced: Name[] = [];

  constructor({ drop, rename, set }: TransformRule) {
    this.#dropped = drop.map(nameOf);
    this.#renamed = Object.entries(rename)
      .filter(([from]) => !drop.some((glob) => matchesGlob(glob, from)))
      .map(([from, to]) => ({ from: nameOf(from), to: nameOf(to) }));
    this.#set = Object.entries(set);
    this.#setNames = Object.keys(set).map(nameOf);
  }

  get none(): boolean {
    return this.#dropped.length === 0 && this.#renamed.length === 0 && this.#set.length === 0;
  }

  /**
   * Changes record `i`, whose rows are [first, end), and puts what stays to row `to`: rows only ever move to the front, so that they can be written over while they
   * are read. Gives the row behind the last one.
   */
  apply(batch: RecordBatch, i: number, first: number, end: number, to: number): number {
    this.#replaced.length = 0;
    const fresh = this.#renamed.length === 0 ? NOTHING : this.#rename(batch, i, first, end);
    const { properties } = batch;
    let row = to;
    for (let from = first; from < end; from++) {
      const at = from * PROPERTY_ROW;
      if (this.#goesAt(batch.bytes, properties[at] ?? 0, properties[at + 1] ?? 0)) continue;
      if (row !== from) properties.copyWithin(row * PROPERTY_ROW, at, at + PROPERTY_ROW);
      row++;
    }
    const before = batch.extras?.get(i);
    const kept = before?.filter(([name]) => !this.#goes(name)) ?? NOTHING;
    if (fresh.length > 0 || this.#set.length > 0 || kept.length < (before?.length ?? 0)) {
      batch.extras ??= new Map();
      // Most records get the same properties and nothing else: they share one list.
      const shared = fresh.length === 0 && kept.length === 0;
      batch.extras.set(i, shared ? this.#set : [...kept, ...fresh, ...this.#set]);
      batch.nativeStart[i] = -1;
    }
    if (row - to < end - first) batch.nativeStart[i] = -1;
    return row;
  }

  /** The properties of a record that get another name, with it. */
  #rename(batch: RecordBatch, i: number, first: number, end: number): readonly ExtraProperty[] {
    const fresh: ExtraProperty[] = [];
    for (const { from, to } of this.#renamed) {
      const value = valueOf(batch, i, from, first, end);
      if (value === undefined) continue;
      if (!this.#setNames.some(({ text }) => text === to.text)) fresh.push([to.text, value]);
      this.#replaced.push(to);
    }
    return fresh;
  }

  #goesAt(bytes: Buffer, start: number, end: number): boolean {
    for (const { bytes: glob } of this.#dropped) if (globMatchesAt(glob, bytes, start, end)) return true;
    for (const { from } of this.#renamed) if (isAt(from.bytes, bytes, start, end)) return true;
    for (const { bytes: name } of this.#setNames) if (isAt(name, bytes, start, end)) return true;
    for (const { bytes: name } of this.#replaced) if (isAt(name, bytes, start, end)) return true;
    return false;
  }

  /** As `#goesAt`, for a property that the source driver has added. */
  #goes(name: string): boolean {
    return (
      this.#dropped.some(({ text }) => matchesGlob(text, name)) ||
      this.#renamed.some(({ from }) => from.text === name) ||
      this.#setNames.some(({ text }) => text === name) ||
      this.#replaced.some(({ text }) => text === name)
    );
  }
}

/** The value of a property by its name, the last one; `undefined` when the record has none. */
function valueOf(batch: RecordBatch, i: number, name: Name, first: number, end: number): string | undefined {
  const added = batch.extras?.get(i)?.findLast(([key]) => key === name.text);
  if (added !== undefined) return added[1];
  for (let row = end - 1; row >= first; row--) {
    const at = row * PROPERTY_ROW;
    if (!isAt(name.bytes, batch.bytes, batch.properties[at] ?? 0, batch.properties[at + 1] ?? 0)) continue;
    return batch.text(batch.properties[at + 2], batch.properties[at + 3]);
  }
  return undefined;
}
