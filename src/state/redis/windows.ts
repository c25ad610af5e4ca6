import { hash } from 'node:crypto';
import { KEY_BYTES, type WindowIds } from '../../lib/window-ids.ts';
import type { DedupWindow, DedupWindows, WindowLimits, WindowReport } from '../../spi/dedup-window.ts';
import { newGeneration, type StateDeps } from '../deps.ts';
import { damaged, topicText } from '../documents.ts';
import { type CellVisitor, PLACE_BYTES, type Place, shortDigest, visitCells } from '../windows/cells.ts';
import type { RedisConnection } from './connection.ts';
import { Turns } from './turns.ts';
import { WINDOW } from './window-script.ts';

/** Cells per command. More are sent as several: Redis does nothing else while it works on one. */
const CELLS_PER_COMMAND = 1_024;
/** Commands on their way to Redis, of all windows. */
const COMMANDS_AT_A_TIME = 16;
/** Keys that `forget` looks at, at a time. */
const SCAN_COUNT = 1_000;
const NOTHING = Buffer.alloc(0);
/** Buffers kept for the next command. New ones of this size for every command would keep the collector busy. */
const MOST_SPARES = 32;
const LARGEST_SPARE = 64 * 1024;
const FIRST_BYTES = 1024;
const SCRIPT_SHA = hash('sha1', WINDOW);

type Action = 'claim' | 'confirm' | 'release' | 'report';

/** Ids of one command. */
interface Part {
  readonly bytes: Buffer;
  readonly count: number;
}

/** Dedup windows in Redis: see window-script.ts. */
export function redisWindows(connection: RedisConnection, prefix: string, deps: StateDeps): DedupWindows {
  // In braces: all keys of a window belong to one slot of a Redis Cluster.
  const keyOf = (cluster: string, topic: string): string =>
    `${prefix}window:{${shortDigest(topicText(cluster, topic)).toString('base64url')}}`;
  const turns = new Turns(COMMANDS_AT_A_TIME);
  return {
    open: (cluster, topic, owner, limits) =>
      new RedisWindow(connection, turns, deps, keyOf(cluster, topic), topicText(cluster, topic), shortDigest(owner), limits),
    async forget(cluster, topic) {
      const key = keyOf(cluster, topic);
      for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
        const match = `${key.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)}*`;
        const [next, keys] = await connection.call('forgetting a window', (redis) =>
          redis.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT),
        );
        if (keys.length > 0) await connection.call('forgetting a window', (redis) => redis.unlink(...keys));
        cursor = next;
      }
    },
  };
}

class RedisWindow implements DedupWindow {
  readonly #connection: RedisConnection;
  readonly #turns: Turns;
  readonly #deps: StateDeps;
  readonly #key: string;
  readonly #name: string;
  readonly #owner: Buffer;
  readonly #limits: WindowLimits;

  constructor(
    connection: RedisConnection,
    turns: Turns,
    deps: StateDeps,
    key: string,
    name: string,
    owner: Buffer,
    limits: WindowLimits,
  ) {
    this.#connection = connection;
    this.#turns = turns;
    this.#deps = deps;
    this.#key = key;
    this.#name = name;
    this.#owner = owner;
    this.#limits = limits;
  }

  async claim(ids: WindowIds): Promise<WindowReport> {
    const { verdicts } = ids;
    let at = 0;
    const report = await this.#each('claim', partsOf(ids, 'all'), (answer, count) => {
      if (answer.length !== count) throw damaged(`the window ${this.#name}`);
      verdicts.set(answer, at);
      at += count;
    });
    return report;
  }

  confirm(ids: WindowIds): Promise<WindowReport> {
    return this.#each('confirm', partsOf(ids, 'given'));
  }

  release(ids: WindowIds): Promise<WindowReport> {
    return this.#each('release', partsOf(ids, 'given'));
  }

  report(): Promise<WindowReport> {
    return this.#each('report', []);
  }

  async #each(action: Action, parts: readonly Part[], take?: (answer: Buffer, count: number) => void): Promise<WindowReport> {
    let report: WindowReport | undefined;
    for (const { bytes, count } of parts.length === 0 ? [{ bytes: NOTHING, count: 0 }] : parts) {
      const [answer, lossEpoch, complete] = await this.#turns.run(() => this.#run(action, bytes, count));
      // Not after a failure: the bytes may wait for the socket still.
      keepSpare(bytes);
      take?.(answer, count);
      report = { lossEpoch, completeMillis: complete };
    }
    return report ?? { lossEpoch: '', completeMillis: 0 };
  }

  async #run(action: Action, ids: Buffer, count: number): Promise<[Buffer, string, number]> {
    const serverRun = await this.#connection.serverRun();
    const { windowMillis, maxIds, claimMillis } = this.#limits;
    const birth = newGeneration(this.#deps.random);
    const limits = [windowMillis, maxIds, claimMillis];
    const args = [1, this.#key, action, this.#owner, ...limits, birth, serverRun, this.#name, ids, count];
    const answer = await this.#connection.call(`asking the window (${action})`, async (redis) => {
      try {
        return await redis.callBuffer('EVALSHA', [SCRIPT_SHA, ...args]);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return await redis.callBuffer('EVAL', [WINDOW, ...args]);
      }
    });
    const [verdicts, lossEpoch, complete] = Array.isArray(answer) ? answer : [];
    if (!Buffer.isBuffer(verdicts) || !Buffer.isBuffer(lossEpoch)) throw damaged(`the window ${this.#name}`);
    return [verdicts, lossEpoch.toString(), Number(complete)];
  }
}

/** Bytes of a row of keys before its keys, and of a row of positions without its name; see window-script.ts. */
const KEYS_HEAD = 1 + PLACE_BYTES + 8 + 2;
const POSITIONS_ROW = 2 + 2 + PLACE_BYTES + 8;

/** Ids as rows of the script. */
function partsOf(ids: WindowIds, which: 'all' | 'given'): Part[] {
  const parts: Part[] = [];
  const writer = new RowWriter((part) => parts.push(part));
  visitCells(ids, which, writer);
  writer.finish();
  return parts;
}

const spares: Buffer[] = [];

function keepSpare(bytes: Buffer): void {
  const whole = Buffer.from(bytes.buffer);
  const fits = bytes.byteOffset === 0 && whole.length >= FIRST_BYTES && whole.length <= LARGEST_SPARE;
  if (fits && spares.length < MOST_SPARES) spares.push(whole);
}

function takeSpare(): Buffer {
  return spares.pop() ?? Buffer.allocUnsafeSlow(FIRST_BYTES);
}

class RowWriter implements CellVisitor {
  readonly #done: (part: Part) => void;
  #bytes: Buffer = NOTHING;
  #end = 0;
  #cells = 0;
  #count = 0;

  constructor(done: (part: Part) => void) {
    this.#done = done;
  }

  keys(keys: Buffer, start: number, count: number, { lead, last }: Place): void {
    for (let from = 0; from < count; ) {
      if (this.#cells === CELLS_PER_COMMAND) this.finish();
      const some = Math.min(count - from, CELLS_PER_COMMAND - this.#cells);
      this.#reserve(KEYS_HEAD + some * KEY_BYTES);
      this.#bytes[this.#end++] = 0x4b;
      this.#place(lead, last + from);
      this.#end = this.#bytes.writeUInt16BE(some, this.#end);
      this.#end += keys.copy(this.#bytes, this.#end, start + from * KEY_BYTES, start + (from + some) * KEY_BYTES);
      this.#cells += some;
      this.#count += some;
      from += some;
    }
  }

  positions(name: Buffer, start: number, count: number, { lead, last }: Place): void {
    if (this.#cells === CELLS_PER_COMMAND) this.finish();
    this.#reserve(POSITIONS_ROW + name.length);
    this.#bytes[this.#end++] = 0x50;
    this.#bytes[this.#end++] = name.length;
    this.#end += name.copy(this.#bytes, this.#end);
    this.#bytes[this.#end++] = start;
    this.#bytes[this.#end++] = count - 1;
    this.#place(lead, last);
    this.#cells++;
    this.#count += count;
  }

  finish(): void {
    if (this.#cells === 0) return;
    this.#done({ bytes: this.#bytes.subarray(0, this.#end), count: this.#count });
    this.#bytes = NOTHING;
    this.#end = 0;
    this.#cells = 0;
    this.#count = 0;
  }

  #place(lead: Buffer, last: number): void {
    this.#end += lead.copy(this.#bytes, this.#end);
    this.#end = this.#bytes.writeDoubleBE(last, this.#end);
  }

  #reserve(bytes: number): void {
    if (this.#bytes.length === 0) this.#bytes = takeSpare();
    if (this.#end + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#end + bytes));
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }
}
