import { IsthmusError } from '../../errors.ts';
import { type LaneId, laneKey } from '../../model/lane.ts';
import { advancePosition, comparePositions, type Position } from '../../model/position.ts';
import type { Clock } from '../../spi/clock.ts';
import type { DedupWindows } from '../../spi/dedup-window.ts';
import type { LeaseStore } from '../../spi/lease.ts';
import type { Checkpoint, IndexEntry, MirrorKey, RegistryEntry, StateStore } from '../../spi/state-store.ts';
import { newGeneration } from '../deps.ts';
import { topicText } from '../documents.ts';
import { BIRTH_NAME, Leases, type LeaseTable } from '../leases.ts';
import { SEGMENTS_PER_LANE } from '../segments.ts';
import { type CellStore, LocalWindow, newFacts } from '../windows/local-window.ts';
import { localWindows, type WindowSource } from '../windows/local-windows.ts';

interface MirrorState {
  readonly checkpoints: Map<string, Checkpoint>;
  readonly tables: Map<string, string[]>;
  readonly index: Map<string, IndexEntry[]>;
}

/** Keeps state for as long as the object lives: for simulation and tests. Everything is copied on its way in and out. */
export class MemoryStore implements StateStore {
  readonly #random: () => number;
  #generation: string;
  readonly #registry = new Map<string, RegistryEntry>();
  readonly #notes = new Map<string, string>();
  readonly #mirrors = new Map<string, MirrorState>();
  readonly #targetLanes = new Map<string, string[]>();
  readonly #leases = new Map<string, string>();
  readonly #windows = new Map<string, LocalWindow>();
  #closed = false;

  constructor(random: () => number) {
    this.#random = random;
    this.#generation = newGeneration(random);
  }

  /** Takes everything away, as a flushed or replaced store would. */
  empty(): void {
    this.#registry.clear();
    this.#notes.clear();
    this.#mirrors.clear();
    this.#targetLanes.clear();
    this.#leases.clear();
    this.#windows.clear();
    this.#generation = newGeneration(this.#random);
  }

  async generation(): Promise<string> {
    this.#check();
    return this.#generation;
  }

  async loadRegistry(): Promise<RegistryEntry[]> {
    this.#check();
    return [...this.#registry.values()];
  }

  async saveRegistryEntry(entry: RegistryEntry): Promise<void> {
    this.#check();
    this.#registry.set(nameOf(entry.key), structuredClone(entry));
  }

  async deleteRegistryEntry(key: MirrorKey): Promise<void> {
    this.#check();
    this.#registry.delete(nameOf(key));
  }

  async loadNote(name: string): Promise<string | undefined> {
    this.#check();
    return this.#notes.get(name);
  }

  async saveNote(name: string, text: string | undefined): Promise<void> {
    this.#check();
    if (text === undefined) this.#notes.delete(name);
    else this.#notes.set(name, text);
  }

  async loadCheckpoints(key: MirrorKey): Promise<Checkpoint[]> {
    return [...this.#mirror(key).checkpoints.values()].map((each) => structuredClone(each));
  }

  async saveCheckpoints(key: MirrorKey, checkpoints: readonly Checkpoint[]): Promise<void> {
    const mirror = this.#mirror(key);
    for (const each of checkpoints) mirror.checkpoints.set(laneKey(each.lane), structuredClone(each));
  }

  async loadLaneTable(key: MirrorKey, topic: string): Promise<string[]> {
    return [...(this.#mirror(key).tables.get(topic) ?? [])];
  }

  async saveLaneTable(key: MirrorKey, topic: string, lanes: readonly string[], former?: readonly string[]): Promise<boolean> {
    return replaceLanes(this.#mirror(key).tables, topic, lanes, former);
  }

  async loadTargetLanes(cluster: string, topic: string): Promise<string[]> {
    this.#check();
    return [...(this.#targetLanes.get(topicText(cluster, topic)) ?? [])];
  }

  async saveTargetLanes(cluster: string, topic: string, lanes: readonly string[], former?: readonly string[]): Promise<boolean> {
    this.#check();
    return replaceLanes(this.#targetLanes, topicText(cluster, topic), lanes, former);
  }

  async appendIndex(
    key: MirrorKey,
    entries: readonly { readonly lane: LaneId; readonly entries: readonly IndexEntry[] }[],
  ): Promise<void> {
    const mirror = this.#mirror(key);
    for (const { lane, entries: added } of entries) {
      const kept = mirror.index.get(laneKey(lane)) ?? [];
      for (const entry of added) insert(kept, entry);
      if (kept.length > SEGMENTS_PER_LANE) kept.splice(0, kept.length - SEGMENTS_PER_LANE);
      mirror.index.set(laneKey(lane), kept);
    }
  }

  async readIndex(key: MirrorKey, lane: LaneId, from: Position, to: Position, limit: number): Promise<IndexEntry[]> {
    const kept = this.#mirror(key).index.get(laneKey(lane)) ?? [];
    const floor = kept.findLast((entry) => comparePositions(firstOf(entry), from) <= 0);
    const found = kept.filter(
      (entry) => entry === floor || (comparePositions(firstOf(entry), to) <= 0 && comparePositions(endOf(entry), from) > 0),
    );
    return found.slice(0, limit).map((each) => structuredClone(each));
  }

  async forgetLane(key: MirrorKey, lane: LaneId): Promise<void> {
    const mirror = this.#mirror(key);
    mirror.checkpoints.delete(laneKey(lane));
    mirror.index.delete(laneKey(lane));
  }

  async forgetMirror(key: MirrorKey): Promise<void> {
    this.#check();
    this.#mirrors.delete(nameOf(key));
  }

  /** Leases as one process sees them, by its own clock. */
  leases(clock: Clock): LeaseStore {
    const table: LeaseTable = {
      swap: async (newBirth, birth, changes) => {
        this.#check();
        const rows = this.#leases;
        if (!rows.has(BIRTH_NAME)) rows.set(BIRTH_NAME, newBirth);
        const known = rows.get(BIRTH_NAME) ?? '';
        for (const { name, expected, next } of known === birth ? changes : []) {
          if (next !== '' && (rows.get(name) ?? '') === expected) rows.set(name, next);
        }
        return { birth: known, rows: changes.map(({ name }) => rows.get(name) ?? '') };
      },
    };
    return new Leases(table, { clock, random: this.#random });
  }

  /** Dedup windows as one process sees them, by its own clock. */
  windows(clock: Clock): DedupWindows {
    const get = (name: string, now: number): LocalWindow => {
      let window = this.#windows.get(name);
      if (window === undefined) {
        window = new LocalWindow(newFacts(newGeneration(this.#random), now), new MemoryCells(), now);
        this.#windows.set(name, window);
      }
      return window;
    };
    const source: WindowSource = {
      get,
      change: async (_doing, _name, work) => {
        this.#check();
        return work();
      },
      forget: async (name) => {
        this.#check();
        this.#windows.delete(name);
      },
    };
    return localWindows(source, clock);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Opens it again, as a new process would. */
  open(): this {
    this.#closed = false;
    return this;
  }

  #mirror(key: MirrorKey): MirrorState {
    this.#check();
    const name = nameOf(key);
    let mirror = this.#mirrors.get(name);
    if (mirror === undefined) {
      this.#mirrors.set(name, (mirror = { checkpoints: new Map(), tables: new Map(), index: new Map() }));
    }
    return mirror;
  }

  #check(): void {
    if (this.#closed) throw new IsthmusError('CLOSED', 'asking the state store: it was closed');
  }
}

class MemoryCells implements CellStore {
  readonly #generations = new Map<number, Map<string, Uint8Array>>();

  get(generation: number, name: Buffer): Uint8Array | undefined {
    return this.#generations.get(generation)?.get(name.toString('latin1'));
  }

  set(generation: number, name: Buffer, bits: Uint8Array): void {
    const cells = this.#generations.get(generation) ?? new Map<string, Uint8Array>();
    this.#generations.set(generation, cells.set(name.toString('latin1'), bits));
  }

  dropBefore(generation: number): void {
    for (const number of this.#generations.keys()) if (number < generation) this.#generations.delete(number);
  }
}

function replaceLanes(
  tables: Map<string, string[]>,
  name: string,
  lanes: readonly string[],
  former: readonly string[] | undefined,
): boolean {
  if (former !== undefined && JSON.stringify(tables.get(name) ?? []) !== JSON.stringify(former)) return false;
  tables.set(name, [...lanes]);
  return true;
}

function nameOf(key: MirrorKey): string {
  return JSON.stringify([key.link, key.mirror]);
}

function firstOf(entry: IndexEntry): Position {
  const first = entry.runs[0]?.first;
  if (first === undefined) throw new IsthmusError('STATE_DAMAGED', 'reading the position index: an entry without runs');
  return first;
}

function endOf(entry: IndexEntry): Position {
  return entry.runs.map((run) => advancePosition(run.first, run.count)).reduce((a, b) => (comparePositions(a, b) > 0 ? a : b));
}

/** Puts an entry behind those that begin at or before it, unless it is there already. */
function insert(kept: IndexEntry[], entry: IndexEntry): void {
  let [low, high] = [0, kept.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (comparePositions(firstOf(kept[middle] ?? entry), firstOf(entry)) <= 0) low = middle + 1;
    else high = middle;
  }
  for (let at = low - 1; at >= 0 && comparePositions(firstOf(kept[at] ?? entry), firstOf(entry)) === 0; at--) {
    if (JSON.stringify(kept[at]) === JSON.stringify(entry)) return;
  }
  kept.splice(low, 0, structuredClone(entry));
}
