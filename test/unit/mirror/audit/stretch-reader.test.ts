import { beforeEach, describe, expect, it } from 'vitest';
import { IsthmusError } from '../../../../src/errors.ts';
import { ByteBudget } from '../../../../src/lib/byte-budget.ts';
import { Pace } from '../../../../src/mirror/audit/pace.ts';
import { readStretch } from '../../../../src/mirror/audit/stretch-reader.ts';
import { entryPosition, formatPosition, offsetPosition, type Position } from '../../../../src/model/position.ts';
import type { Clock } from '../../../../src/spi/clock.ts';
import type { Delivery, LaneExtent, LaneReader, ReadOptions, Source } from '../../../../src/spi/source.ts';
import { settle, VirtualTime } from '../../../simulation/virtual-time.ts';
import { batchOf } from './kit.ts';

let time: VirtualTime;
let clock: Clock;
beforeEach(() => {
  time = new VirtualTime();
  clock = time.clock();
});

/** A reader that hands out what the test puts in. */
class Script implements LaneReader {
  readonly ready: Delivery[] = [];
  options: ReadOptions | undefined;
  known: LaneExtent | undefined;
  closed = false;
  released = 0;
  #waiting: { resolve: (delivery: Delivery) => void; reject: (error: Error) => void } | undefined;

  records(...positions: Position[]): void {
    const batch = batchOf(positions.map((position) => ({ position, body: 'b' })));
    const release = batch.release.bind(batch);
    batch.release = () => {
      this.released++;
      release();
    };
    this.put({ kind: 'records', batch });
  }

  put(delivery: Delivery): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.ready.push(delivery);
    else waiting.resolve(delivery);
  }

  poll(): Delivery | undefined {
    return this.ready.shift();
  }

  read(): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  extent(): LaneExtent | undefined {
    return this.known;
  }

  commit(): Promise<void> {
    return Promise.reject(new Error('an onlooker must not commit'));
  }

  async close(): Promise<void> {
    this.closed = true;
    this.#waiting?.reject(new IsthmusError('CLOSED', 'closed'));
  }
}

interface Reading {
  readonly script: Script;
  readonly seen: string[];
  readonly abort: AbortController;
  readonly outcome: Promise<boolean | Error>;
}

function read(from: Position, to: Position, sure = false): Reading {
  const script = new Script();
  const seen: string[] = [];
  const abort = new AbortController();
  const source: Source = {
    passesWhole: false,
    openLane: async (_, at, options) => {
      seen.push(`open ${formatPosition(at)}`);
      script.options = options;
      return script;
    },
    committed: async () => undefined,
    resolveStart: async () => offsetPosition(0),
    next: (position) => (position.index >= 0 ? { ...position, index: position.index + 1 } : offsetPosition(position.major + 1)),
  };
  const visitor = {
    records: (batch: ReturnType<typeof batchOf>, first: number, end: number): void => {
      for (let i = first; i < end; i++) seen.push(formatPosition(batch.positionAt(i)));
    },
    gone: (a: Position, b: Position): void => void seen.push(`gone ${formatPosition(a)} ${formatPosition(b)}`),
  };
  const deps = { clock, budget: new ByteBudget(1_000), signal: abort.signal, pace: new Pace(clock, () => false) };
  const stretch = { lane: { topic: 't', lane: '0' }, from, to, sure };
  const outcome = readStretch(source, 'group', stretch, visitor, deps).catch((error: unknown) => error as Error);
  return { script, seen, abort, outcome };
}

describe('reading a stretch', () => {
  it('hands out the records at or after its beginning and before its end, and closes the reader', async () => {
    const { script, seen, outcome } = read(offsetPosition(5), offsetPosition(8));
    await settle();
    script.records(offsetPosition(4), offsetPosition(5), offsetPosition(6));
    script.records(offsetPosition(7), offsetPosition(8), offsetPosition(9));
    expect(await outcome).toBe(true);
    expect(seen).toEqual(['open 5', '5', '6', '7']);
    expect([script.closed, script.released]).toEqual([true, 2]);
  });

  it('opens nothing for a stretch without any positions', async () => {
    const { seen, outcome } = read(offsetPosition(5), offsetPosition(5));
    expect([await outcome, seen]).toEqual([true, []]);
  });

  it('begins with the entry where it is to begin with its first record: that may be a record itself', async () => {
    const { script, seen, outcome } = read(entryPosition(3, 7, 0), entryPosition(3, 9));
    await settle();
    script.records(entryPosition(3, 7), entryPosition(3, 8, 0), entryPosition(3, 8, 1), entryPosition(3, 9, 0));
    expect(await outcome).toBe(true);
    expect(seen).toEqual(['open 3:7', '3:7', '3:8:0', '3:8:1']);
  });

  it('goes on over what is gone, and ends with it', async () => {
    const { script, seen, outcome } = read(offsetPosition(0), offsetPosition(9));
    await settle();
    script.put({ kind: 'gap', from: offsetPosition(0), to: offsetPosition(3), reason: 'expired' });
    script.records(offsetPosition(3));
    script.put({ kind: 'gap', from: offsetPosition(4), to: offsetPosition(20), reason: 'expired' });
    expect(await outcome).toBe(true);
    expect(seen).toEqual(['open 0', 'gone 0 3', '3', 'gone 4 20']);
  });

  it('rejects when the lane goes back: the same positions are other records then', async () => {
    const { script, outcome } = read(offsetPosition(5), offsetPosition(9));
    await settle();
    script.put({ kind: 'gap', from: offsetPosition(7), to: offsetPosition(2), reason: 'truncated' });
    expect(await outcome).toMatchObject({ code: 'SOURCE_REWOUND' });
    expect(script.closed).toBe(true);
  });
});

describe('a lane that gives no more', () => {
  it('is read when nothing came for 10 s, and not before; what comes too late is given back', async () => {
    const { script, seen, outcome } = read(offsetPosition(0), offsetPosition(9));
    await time.pass(9_000);
    script.records(offsetPosition(0));
    await time.pass(9_000);
    expect(seen).toEqual(['open 0', '0']);
    await time.pass(3_000);
    expect(await outcome).toBe(false);
    script.records(offsetPosition(1));
    expect([script.closed, seen.length]).toEqual([true, 2]);
  });

  it('is read after 2 s where its reader says so itself', async () => {
    const { script, outcome } = read(offsetPosition(0), offsetPosition(9));
    await settle();
    script.known = { begin: offsetPosition(0), end: offsetPosition(1) };
    script.records(offsetPosition(0));
    await time.pass(4_000);
    expect(await outcome).toBe(true);
  });

  it('is waited for where its last record is known to be stored, whatever its reader says of the end', async () => {
    const { script, seen, outcome } = read(offsetPosition(0), offsetPosition(2), true);
    await settle();
    script.known = { begin: offsetPosition(0), end: offsetPosition(1) };
    script.records(offsetPosition(0));
    await time.pass(8_000);
    script.records(offsetPosition(1));
    expect(await outcome).toBe(true);
    expect(seen).toEqual(['open 0', '0', '1']);
  });

  it('is not said to be read where its last record is known to be stored and never came', async () => {
    const { script, outcome } = read(offsetPosition(0), offsetPosition(2), true);
    await settle();
    script.known = { begin: offsetPosition(0), end: offsetPosition(1) };
    script.records(offsetPosition(0));
    await time.pass(12_000);
    expect(await outcome).toBe(false);
  });

  it('is read after 2 s within the last entry, which may have no more records', async () => {
    const { script, outcome } = read(entryPosition(3, 0), entryPosition(3, 8));
    await settle();
    script.records(entryPosition(3, 7, 0), entryPosition(3, 7, 1));
    await time.pass(4_000);
    expect(await outcome).toBe(true);
  });

  it('is waited for while its reader is in trouble, up to two minutes', async () => {
    const { script, seen, outcome } = read(offsetPosition(0), offsetPosition(2));
    await settle();
    script.options?.onTrouble(new IsthmusError('CONNECTION_LOST', 'gone'));
    await time.pass(60_000);
    script.options?.onTrouble(undefined);
    script.records(offsetPosition(0));
    await time.pass(1_000);
    expect(seen).toEqual(['open 0', '0']);
    script.options?.onTrouble(new IsthmusError('CONNECTION_LOST', 'gone again'));
    await time.pass(125_000);
    expect(await outcome).toMatchObject({ code: 'CONNECTION_LOST', message: 'gone again' });
  });

  it('is left when the comparison is cancelled', async () => {
    const { script, abort, outcome } = read(offsetPosition(0), offsetPosition(2));
    await settle();
    abort.abort(new IsthmusError('CLOSED', 'cancelled'));
    expect(await outcome).toMatchObject({ code: 'CLOSED', message: 'cancelled' });
    await settle();
    expect(script.closed).toBe(true);
  });
});
