import { KEY_BYTES, type WindowIds } from '../../lib/window-ids.ts';
import { Verdict, type WindowLimits, type WindowReport } from '../../spi/dedup-window.ts';
import { CELL_SIZE, type CellVisitor, type Place, visitCells } from './cells.ts';

/** Where the cells of a window are kept: name to bits, no bytes at all for a key. */
export interface CellStore {
  get(generation: number, name: Buffer): Uint8Array | undefined;
  set(generation: number, name: Buffer, bits: Uint8Array): void;
  /** Forgets the cells of generations before this one; not all of them at once where they are many. */
  dropBefore(generation: number): void;
}

export interface Generation {
  readonly number: number;
  /** Milliseconds since 1970. */
  openedAt: number;
  ids: number;
}

export interface WindowFacts {
  readonly birth: string;
  /** Milliseconds since 1970. */
  since: number;
  /** Oldest first. */
  generations: Generation[];
}

/** A stretch of a cell on its way. */
interface Claim {
  readonly first: number;
  readonly last: number;
  readonly owner: string;
  /** Leading parts of the place at which the record of `first` was read, and its last part. */
  readonly lead: string;
  readonly at: number;
}

const BITS_BYTES = CELL_SIZE / 8;
const NO_BITS = new Uint8Array(0);

export function newFacts(birth: string, now: number): WindowFacts {
  return { birth, since: now, generations: [{ number: 1, openedAt: now, ids: 0 }] };
}

/**
 * A dedup window inside one process, by the same rules as the one in Redis: generations by age and count, claims of two stretches of time. Claims live as long as the process:
 * whoever comes after it has no one to wait for.
 */
export class LocalWindow {
  readonly facts: WindowFacts;
  readonly #cells: CellStore;
  #claims = new Map<string, Claim[]>();
  #claimsBefore = new Map<string, Claim[]>();
  #turnedAt: number;

  constructor(facts: WindowFacts, cells: CellStore, now: number) {
    this.facts = facts;
    this.#cells = cells;
    this.#turnedAt = now;
  }

  claim(ids: WindowIds, owner: string, limits: WindowLimits, now: number): WindowReport {
    this.#turn(limits, now);
    const live = this.facts.generations.filter((each) => !isOver(each, limits, now)).map((each) => each.number);
    let at = 0;
    const claimCell = (name: Buffer, first: number, last: number, { lead, last: place }: Place): void => {
      const verdicts = ids.verdicts.subarray(at, (at += last - first + 1));
      const wish = { first, last, owner, lead: lead.toString('latin1'), at: place };
      const kept = this.#paintClaims(name.toString('latin1'), wish, verdicts);
      for (const generation of live) {
        const bits = this.#cells.get(generation, name);
        if (bits === undefined) continue;
        for (let i = first; i <= last; i++) if (bits.length === 0 || hasBit(bits, i)) verdicts[i - first] = Verdict.stored;
      }
      this.#addClaims(name.toString('latin1'), wish, verdicts, kept);
    };
    visitCells(ids, 'all', eachCell(claimCell));
    return this.report(now);
  }

  /** Keeps ids. Their claims stay until `free`, so that they are nobody else's when this cannot be written. */
  confirm(ids: WindowIds, limits: WindowLimits, now: number): WindowReport {
    this.#turn(limits, now);
    const generation = this.#generation(limits, now, countGiven(ids));
    const confirmCell = (name: Buffer, first: number, last: number, isKey: boolean): void => {
      const bits = this.#cells.get(generation.number, name);
      if (isKey) {
        if (bits === undefined) this.#cells.set(generation.number, name, NO_BITS);
        generation.ids += bits === undefined ? 1 : 0;
      } else {
        const joined = new Uint8Array(BITS_BYTES);
        if (bits !== undefined) joined.set(bits);
        const added = addBits(joined, first, last);
        if (added > 0) this.#cells.set(generation.number, name, joined);
        generation.ids += added;
      }
    };
    visitCells(
      ids,
      'given',
      eachCell((name, first, last, _, isKey) => confirmCell(name, first, last, isKey)),
    );
    this.#cells.dropBefore(this.facts.generations[0]?.number ?? 0);
    return this.report(now);
  }

  /** Ends the claims on ids: those of anybody, once they are confirmed, or those of one owner. */
  free(ids: WindowIds, owner: string | undefined): void {
    const freeCell = (name: Buffer, first: number, last: number): void => this.#free(name.toString('latin1'), first, last, owner);
    visitCells(ids, 'given', eachCell(freeCell));
  }

  /** Takes back what was done to the facts in a transaction that failed. */
  restore(facts: WindowFacts): void {
    this.facts.since = facts.since;
    this.facts.generations = facts.generations;
  }

  report(now: number): WindowReport {
    return { lossEpoch: `${this.facts.birth}:0`, completeMillis: Math.max(0, now - this.facts.since) };
  }

  /** A claim ends when its turn and the one after have passed. */
  #turn({ claimMillis }: WindowLimits, now: number): void {
    const { facts } = this;
    const newest = facts.generations.at(-1);
    // A clock that went back would keep everything for so much longer.
    facts.since = Math.min(facts.since, now);
    this.#turnedAt = Math.min(this.#turnedAt, now);
    if (newest !== undefined) newest.openedAt = Math.min(newest.openedAt, now);
    const turns = Math.floor((now - this.#turnedAt) / claimMillis);
    if (turns === 0) return;
    this.#claimsBefore = turns === 1 ? this.#claims : new Map();
    this.#claims = new Map();
    this.#turnedAt += turns * claimMillis;
  }

  /** The one to write to. */
  #generation(limits: WindowLimits, now: number, coming: number): Generation {
    const { generations } = this.facts;
    while (generations.length > 1 && generations[0] !== undefined && isOver(generations[0], limits, now)) generations.shift();
    let newest = generations.at(-1);
    if (newest === undefined || now >= newest.openedAt + limits.windowMillis / 4 || newest.ids >= limits.maxIds / 4) {
      newest = { number: (newest?.number ?? 0) + 1, openedAt: now, ids: 0 };
      generations.push(newest);
    }
    const total = (): number => generations.reduce((sum, each) => sum + each.ids, coming);
    while (generations.length > 1 && total() > limits.maxIds) generations.shift();
    return newest;
  }

  /** Sets what the claims say; gives which of ours are among those of this turn. */
  #paintClaims(name: string, wish: Claim, verdicts: Uint8Array): Uint8Array {
    verdicts.fill(Verdict.fresh);
    const kept = new Uint8Array(verdicts.length);
    for (const claims of [this.#claimsBefore, this.#claims]) {
      for (const claim of claims.get(name) ?? []) {
        const same = claim.lead === wish.lead && claim.at - claim.first === wish.at - wish.first;
        const verdict = claim.owner !== wish.owner ? Verdict.claimed : same ? Verdict.ours : Verdict.repeated;
        for (let i = Math.max(wish.first, claim.first); i <= Math.min(wish.last, claim.last); i++) {
          verdicts[i - wish.first] = verdict;
          kept[i - wish.first] = claims === this.#claims ? 1 : 0;
        }
      }
    }
    return kept;
  }

  /** Claims what is free, and takes our claims of the turn before into this one. */
  #addClaims(name: string, wish: Claim, verdicts: Uint8Array, kept: Uint8Array): void {
    const wanted = (i: number): boolean => verdicts[i] === Verdict.fresh || (verdicts[i] === Verdict.ours && kept[i] === 0);
    for (let i = 0; i < verdicts.length; i++) {
      if (!wanted(i)) continue;
      const begin = i;
      while (i + 1 < verdicts.length && wanted(i + 1)) i++;
      const claim = { ...wish, first: wish.first + begin, last: wish.first + i, at: wish.at + begin };
      const claims = this.#claims.get(name);
      if (claims === undefined) this.#claims.set(name, [claim]);
      else claims.push(claim);
    }
  }

  /** Takes a stretch out of the claims: those of anybody, or those of one owner. */
  #free(name: string, first: number, last: number, owner: string | undefined): void {
    for (const claims of [this.#claims, this.#claimsBefore]) {
      const rest: Claim[] = [];
      for (const claim of claims.get(name) ?? []) {
        if (claim.last < first || claim.first > last || (owner !== undefined && claim.owner !== owner)) {
          rest.push(claim);
          continue;
        }
        if (claim.first < first) rest.push({ ...claim, last: first - 1 });
        if (claim.last > last) rest.push({ ...claim, first: last + 1, at: claim.at + last + 1 - claim.first });
      }
      if (rest.length > 0) claims.set(name, rest);
      else claims.delete(name);
    }
  }
}

function isOver(generation: Generation, { windowMillis }: WindowLimits, now: number): boolean {
  return now >= generation.openedAt + windowMillis * 1.25;
}

function countGiven(ids: WindowIds): number {
  return ids.verdicts.reduce((sum, verdict) => sum + (verdict === Verdict.fresh || verdict === Verdict.ours ? 1 : 0), 0);
}

/** Takes keys one by one, each as a cell with one place. */
function eachCell(visit: (name: Buffer, first: number, last: number, place: Place, isKey: boolean) => void): CellVisitor {
  return {
    keys(keys, start, count, { lead, last }) {
      for (let i = 0; i < count; i++) {
        const at = start + i * KEY_BYTES;
        visit(keys.subarray(at, at + KEY_BYTES), 0, 0, { lead, last: last + i }, true);
      }
    },
    positions: (name, start, count, place) => visit(name, start, start + count - 1, place, false),
  };
}

function hasBit(bits: Uint8Array, i: number): boolean {
  return ((bits[i >> 3] ?? 0) & (1 << (i & 7))) !== 0;
}

/** Gives how many were not there. */
function addBits(bits: Uint8Array, first: number, last: number): number {
  let added = 0;
  for (let i = first; i <= last; i++) {
    if (hasBit(bits, i)) continue;
    bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7));
    added++;
  }
  return added;
}
