/** `node scripts/with-setup.js scripts/bench-windows.ts`: what dedup windows in Redis need, in memory and in CPU. Starts a redis-server of its own. It measures and never judges. */
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { toIsthmusError } from '../src/errors.ts';
import { systemClock } from '../src/lib/clock.ts';
import { WindowIds } from '../src/lib/window-ids.ts';
import { RecordBatch } from '../src/model/record-batch.ts';
import type { Log } from '../src/spi/log.ts';
import { openRedisState } from '../src/state/redis/redis-state.ts';
import { type RedisServer, startRedisServer } from '../test/conformance/redis-server.ts';
import { median, rounded } from './bench/statistics.ts';

const help = `Measures dedup windows in Redis: bytes per id, and CPU per record of claim and confirm together.

Options:
  --ids N     ids of each kind (default 1000000)
  --lanes N   lanes that claim at the same time (default 8)
  --json      one JSON object on the standard output
  --help      this text
`;

const BATCH = 500;
/** Ids per measurement, of which the median and the best count: the machine has other things to do. */
const ROUND = 50_000;
const LIMITS = { windowMillis: 86_400_000, maxIds: 10_000_000, claimMillis: 60_000 };
const KEY = 32;

type Fill = (ids: WindowIds, batch: RecordBatch, lane: number, from: number) => void;

/** What a lane has to say of a batch that begins at its record `from`. */
const KINDS: Readonly<Record<string, Fill>> = {
  'origin, neighbours': (ids, batch, lane) => {
    const space = `origin;rmq-east;orders;broker-a:${lane}`;
    for (let row = 0; row < BATCH; row++) ids.addRow(space, batch, row);
  },
  UNIQ_KEY: (ids, batch, _, from) => {
    const head = Buffer.from((from / BATCH).toString(16).toUpperCase().padStart(9, '0'));
    for (let row = 0; row < BATCH; row++) batch.bytes.set(head, row * KEY + 20);
    for (let row = 0; row < BATCH; row++) ids.addKey(batch.bytes, row * KEY, (row + 1) * KEY, batch, row);
  },
  'origin, one in 300': (ids, batch, lane, from) => {
    const space = `origin;rmq-east;orders;broker-a:${lane}`;
    for (let row = 0; row < BATCH; row++) ids.addPosition(space, (from + row) * 300, -1, -1, batch, row);
  },
};

const silent = (): void => undefined;
const log: Log = { debug: silent, info: silent, warn: silent, error: silent, child: () => log };

interface Row {
  readonly kind: string;
  readonly ids: number;
  readonly bytes_per_id: number | null;
  readonly cpu_us_per_record: number | null;
  readonly cpu_us_per_record_best: number | null;
  readonly redis_cpu_us_per_record: number | null;
}

async function measure(server: RedisServer, kind: string, fill: Fill, count: number, lanes: number): Promise<Row> {
  await server.with((redis) => redis.flushall());
  const store = await openRedisState(server.url, 'isthmus:', { clock: systemClock, random: Math.random, log });
  const workers = Array.from({ length: lanes }, (_, lane) => ({
    lane,
    window: store.windows.open('pulsar-west', 'orders', `link/mirror/orders/broker-a:${lane}`, LIMITS),
    ids: new WindowIds(),
    batch: keyed(lane),
    from: 0,
  }));
  const cpu: number[] = [];
  const redisBefore = await server.with(redisCpuMicros);
  for (let done = 0; done < count; done += ROUND) {
    const before = process.cpuUsage();
    let left = ROUND / BATCH;
    await Promise.all(
      workers.map(async (worker) => {
        while (left-- > 0) {
          const { ids, batch, window, lane } = worker;
          for (let row = 0; row < BATCH; row++) batch.major[row] = worker.from + row;
          ids.clear();
          fill(ids, batch, lane, worker.from);
          await insisting(() => window.claim(ids));
          await insisting(() => window.confirm(ids));
          worker.from += BATCH;
        }
      }),
    );
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / ROUND);
  }
  const redisAfter = await server.with(redisCpuMicros);
  const bytes = await server.with(memoryUsage);
  await store.close();
  return {
    kind,
    ids: count,
    bytes_per_id: rounded(bytes / count, 2),
    cpu_us_per_record: rounded(median(cpu), 2),
    cpu_us_per_record_best: rounded(Math.min(...cpu), 2),
    redis_cpu_us_per_record: rounded((redisAfter - redisBefore) / count, 2),
  };
}

/** Redis may be kept waiting by whatever else the machine does. */
async function insisting(call: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await call();
      return;
    } catch (error) {
      if (toIsthmusError(error).code !== 'STATE_UNAVAILABLE' || tries === 5) throw error;
    }
  }
}

/** A batch whose bytes are one unique key per record: address, process, number of the batch, number of the record. */
function keyed(lane: number): RecordBatch {
  const batch = new RecordBatch(BATCH);
  const address = (0x7f000001 + lane).toString(16).toUpperCase();
  const rows = Array.from({ length: BATCH }, (_, row) => row.toString(16).toUpperCase().padStart(12, '0'));
  batch.bytes = Buffer.from(rows.map((row) => `${address}00002A139A55${row}`).join(''));
  return batch;
}

async function redisCpuMicros(redis: Redis): Promise<number> {
  const told = await redis.info('cpu');
  const seconds = ['used_cpu_user', 'used_cpu_sys'].map((name) => Number(new RegExp(`${name}:([\\d.]+)`).exec(told)?.[1]));
  return seconds.reduce((a, b) => a + b) * 1e6;
}

/** MEMORY USAGE of every key: all of the window, and the 100 bytes that say which store it is. */
async function memoryUsage(redis: Redis): Promise<number> {
  let bytes = 0;
  for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
    const [following, keys] = await redis.scan(cursor, 'COUNT', 2_000);
    const sizes = redis.pipeline();
    for (const key of keys) sizes.memory('USAGE', key, 'SAMPLES', 0);
    for (const [, size] of (await sizes.exec()) ?? []) bytes += Number(size);
    cursor = following;
  }
  return bytes;
}

const { values } = parseArgs({
  options: {
    ids: { type: 'string', default: '1000000' },
    lanes: { type: 'string', default: '8' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  console.log(help);
} else {
  const server = await startRedisServer();
  try {
    const rows: Row[] = [];
    for (const [kind, fill] of Object.entries(KINDS)) {
      rows.push(await measure(server, kind, fill, Number(values.ids), Number(values.lanes)));
    }
    if (values.json) console.log(JSON.stringify({ batch: BATCH, lanes: Number(values.lanes), rows }));
    else console.table(rows);
  } finally {
    await server.close();
  }
}
