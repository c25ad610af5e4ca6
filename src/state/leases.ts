import type { Lease, LeaseHeld, LeaseStore } from '../spi/lease.ts';
import { newGeneration, type StateDeps } from './deps.ts';

/** A wish to replace a row, or to know it. The empty text stands for "no row" in `expected`, for "leave it" in `next`. */
export interface RowChange {
  readonly name: string;
  readonly expected: string;
  readonly next: string;
}

/** What a store gives for leases: rows by name that are compared and set. It knows nothing of time. */
export interface LeaseTable {
  /**
   * In one step: keeps `newBirth` as the table's own id if it has none (it is new, or was emptied); if its id is `birth`, sets each row that is as expected. Answers with the id
   * and with what the rows are then, '' = there is none.
   */
  swap(newBirth: string, birth: string, changes: readonly RowChange[]): Promise<{ birth: string; rows: string[] }>;
}

/** The name under which a table keeps its own id; no lease has an empty name. */
export const BIRTH_NAME = '';

interface Row {
  readonly epoch: number;
  /** Grows with every renewal. */
  readonly count: number;
  /** Empty when it was given back. */
  readonly owner: string;
}

/** A lease of ours, as we wrote it. Outlives its time, so that it can still be given back. */
interface Held extends Row {
  /** What the store holds, as far as we know. */
  readonly text: string;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/** A row of somebody else, and since when it has been the same. */
interface Seen {
  readonly text: string;
  readonly since: number;
}

/** Asking, taking over what the first answer showed, and once more where a row was other than we thought. */
const ROUNDS = 4;

/**
 * Leases over rows without any time in them. A row counts its renewals, and whoever waits watches that count by its own clock. So neither a clock step of the store's host nor
 * an emptied store frees a lease too early. An absent row is watched like any other, unless the table's id shows that we have known this very table for a whole `ttlMillis`:
 * then a holder would have written its row into it, and the name is a new one.
 */
export class Leases implements LeaseStore {
  readonly #table: LeaseTable;
  readonly #deps: Pick<StateDeps, 'clock' | 'random'>;
  readonly #held = new Map<string, Held>();
  readonly #seen = new Map<string, Seen>();
  #birth = '';
  #birthSince = 0;

  constructor(table: LeaseTable, deps: Pick<StateDeps, 'clock' | 'random'>) {
    this.#table = table;
    this.#deps = deps;
  }

  async acquire(name: string, owner: string, ttlMillis: number): Promise<Lease | LeaseHeld> {
    const [answer] = await this.acquireAll([name], owner, ttlMillis);
    return answer ?? { heldBy: '', freeInMillis: ttlMillis };
  }

  async acquireAll(names: readonly string[], owner: string, ttlMillis: number): Promise<(Lease | LeaseHeld)[]> {
    const answers = new Map<string, Lease | LeaseHeld>();
    let pending = [...new Set(names)];
    for (let round = 0; round < ROUNDS && pending.length > 0; round++) {
      const sentAt = this.#deps.clock.monotonic();
      const changes = pending.map((name) => this.#plan(name, owner, ttlMillis, sentAt));
      const rows = await this.#swap(changes);
      const now = this.#deps.clock.monotonic();
      const again: string[] = [];
      for (const [i, change] of changes.entries()) {
        const row = rows[i] ?? '';
        if (change.next !== '' && row === change.next) {
          const taken = parseRow(row);
          this.#held.set(change.name, { ...taken, text: row, until: sentAt + ttlMillis });
          this.#seen.delete(change.name);
          answers.set(change.name, { epoch: taken.epoch });
        } else {
          answers.set(change.name, this.#refused(change.name, row, ttlMillis, now));
          if (this.#isMine(change.name, owner, now) || this.#isFree(change.name, ttlMillis, now)) again.push(change.name);
        }
      }
      pending = again;
    }
    return names.map((name) => answers.get(name) ?? { heldBy: '', freeInMillis: ttlMillis });
  }

  release(name: string, owner: string): Promise<void> {
    return this.releaseAll([name], owner);
  }

  async releaseAll(names: readonly string[], owner: string): Promise<void> {
    const changes: RowChange[] = [];
    for (const name of names) {
      this.#seen.delete(name);
      const held = this.#held.get(name);
      if (held?.owner !== owner) continue;
      this.#held.delete(name);
      changes.push({ name, expected: held.text, next: formatRow({ ...held, owner: '' }) });
    }
    if (changes.length > 0) await this.#swap(changes);
  }

  #plan(name: string, owner: string, ttlMillis: number, now: number): RowChange {
    const held = this.#held.get(name);
    if (held !== undefined && this.#isMine(name, owner, now)) {
      return { name, expected: held.text, next: formatRow({ ...held, count: held.count + 1 }) };
    }
    const seen = this.#seen.get(name);
    if (seen === undefined || !this.#isFree(name, ttlMillis, now)) return { name, expected: '', next: '' };
    // A table that forgot the epoch gets one that is higher, as far as days can tell.
    const former = seen.text === '' ? Math.floor(this.#deps.clock.now() / 1_000) : parseRow(seen.text).epoch;
    const epoch = Math.max(former, held?.epoch ?? 0) + 1;
    return { name, expected: seen.text, next: formatRow({ epoch, count: 0, owner }) };
  }

  /** Notes a row that is not as expected. */
  #refused(name: string, text: string, ttlMillis: number, now: number): LeaseHeld {
    const row = text === '' ? undefined : parseRow(text);
    const held = this.#held.get(name);
    if (held !== undefined && held.until > now) {
      const renewedUnheard = row?.owner === held.owner && row.epoch === held.epoch;
      // A store that was emptied, or went back to an older copy: what is ours by our own clock is written into it again.
      const wentBack = row === undefined || row.epoch < held.epoch;
      if (renewedUnheard) this.#held.set(name, { ...held, text, count: row.count });
      else if (wentBack) this.#held.set(name, { ...held, text });
      else this.#held.delete(name);
    }
    const seen = this.#seen.get(name);
    const since = seen?.text === text ? seen.since : now;
    this.#seen.set(name, { text, since });
    return { heldBy: row?.owner ?? '', freeInMillis: Math.max(0, since + ttlMillis - now) };
  }

  #isMine(name: string, owner: string, now: number): boolean {
    const held = this.#held.get(name);
    return held !== undefined && held.owner === owner && held.until > now;
  }

  #isFree(name: string, ttlMillis: number, now: number): boolean {
    const seen = this.#seen.get(name);
    if (seen === undefined) return false;
    if (now - seen.since >= ttlMillis) return true;
    return seen.text === '' ? now - this.#birthSince >= ttlMillis : parseRow(seen.text).owner === '';
  }

  async #swap(changes: readonly RowChange[]): Promise<string[]> {
    const { birth, rows } = await this.#table.swap(newGeneration(this.#deps.random), this.#birth, changes);
    if (birth !== this.#birth) {
      this.#birth = birth;
      this.#birthSince = this.#deps.clock.monotonic();
    }
    return rows;
  }
}

function formatRow({ epoch, count, owner }: Row): string {
  return `${epoch} ${count} ${owner}`;
}

/** What is no row of ours counts as somebody's: it is waited for. */
function parseRow(text: string): Row {
  const [, epoch, count, owner] = /^(\d{1,15}) (\d{1,15}) (.*)$/s.exec(text) ?? ['', '0', '0', text];
  return { epoch: Number(epoch), count: Number(count), owner: owner ?? text };
}
