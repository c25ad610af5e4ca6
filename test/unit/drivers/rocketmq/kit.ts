import { openRocketmq } from '../../../../src/drivers/rocketmq/driver.ts';
import type { Credentials } from '../../../../src/drivers/rocketmq/wire/acl.ts';
import { IsthmusError } from '../../../../src/errors.ts';
import { ByteBudget } from '../../../../src/lib/byte-budget.ts';
import { systemClock } from '../../../../src/lib/clock.ts';
import { offsetPosition } from '../../../../src/model/position.ts';
import { plainMarks } from '../../../../src/model/provenance.ts';
import type { Clock } from '../../../../src/spi/clock.ts';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import type { Log, LogFields } from '../../../../src/spi/log.ts';
import type { Sink } from '../../../../src/spi/sink.ts';
import type { Delivery, LaneReader } from '../../../../src/spi/source.ts';

export const LANE = { topic: 'T1', lane: 'b1:0' };

/** The machine's clock, which a test can push forward. */
export class PushableClock implements Clock {
  #pushed = 0;

  push(millis: number): void {
    this.#pushed += millis;
  }

  now(): number {
    return systemClock.now() + this.#pushed;
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#pushed;
  }

  sleep(millis: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(millis, signal);
  }

  timer(millis: number, run: () => void): () => void {
    return systemClock.timer(millis, run);
  }
}

/** A clock that runs faster than the machine's, for what waits long by nature. */
export class FastClock extends PushableClock {
  readonly #times: number;
  readonly #begin: number = systemClock.monotonic();

  constructor(times: number) {
    super();
    this.#times = times;
  }

  override monotonic(): number {
    return super.monotonic() + (systemClock.monotonic() - this.#begin) * (this.#times - 1);
  }

  override sleep(millis: number, signal?: AbortSignal): Promise<void> {
    return super.sleep(millis / this.#times, signal);
  }

  override timer(millis: number, run: () => void): () => void {
    return super.timer(millis / this.#times, run);
  }
}

export interface LogLine {
  readonly event: string;
  readonly fields: LogFields | undefined;
}

export function recordingLog(lines: LogLine[]): Log {
  const write = (event: string, fields?: LogFields): void => void lines.push({ event, fields });
  return { debug: write, info: write, warn: write, error: write, child: () => recordingLog(lines) };
}

export interface Opened {
  readonly cluster: Cluster;
  readonly clock: PushableClock;
  readonly log: LogLine[];
  readonly budget: ByteBudget;
  readonly troubles: (Error | undefined)[];
  open(from: number): Promise<LaneReader>;
}

export function openCluster(
  namesrv: readonly string[],
  budgetBytes: number = 64 * 1024 * 1024,
  auth?: Credentials,
  clock: PushableClock = new PushableClock(),
): Opened {
  const log: LogLine[] = [];
  const budget = new ByteBudget(budgetBytes);
  const troubles: (Error | undefined)[] = [];
  const cluster = openRocketmq(
    'east',
    { namesrv, auth, tls: undefined },
    { clock, log: recordingLog(log), random: () => 0, marks: plainMarks },
  );
  const open = async (from: number): Promise<LaneReader> => {
    if (cluster.source === undefined) throw new Error('the driver has no source');
    return cluster.source.openLane(LANE, offsetPosition(from), {
      group: 'g1',
      budget,
      onTrouble: (error) => troubles.push(error),
    });
  };
  return { cluster, clock, log, budget, troubles, open };
}

/** Throws where the driver has none. */
export function sinkOf({ cluster }: Opened): Sink {
  if (cluster.sink === undefined) throw new Error('the driver has no sink');
  return cluster.sink;
}

/** Reads until the record at `last` has come; gives what was delivered, in short. Releases every batch. */
export async function readTo(reader: LaneReader, last: number): Promise<{ offsets: number[]; gaps: string[] }> {
  const offsets: number[] = [];
  const gaps: string[] = [];
  while ((offsets.at(-1) ?? -1) < last) {
    const delivery = await reader.read();
    if (delivery.kind === 'gap') gaps.push(describeGap(delivery));
    else {
      for (let i = 0; i < delivery.batch.count; i++) offsets.push(delivery.batch.positionAt(i).major);
      delivery.batch.release();
    }
  }
  return { offsets, gaps };
}

export function describeGap(delivery: Delivery): string {
  return delivery.kind === 'gap' ? `${delivery.from.major}-${delivery.to.major} ${delivery.reason}` : delivery.kind;
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Waits until something holds; fails by the test's own timeout. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5);
}

/** The code of the error that something throws, `undefined` when it throws none; what is not ours shows as itself. */
export function refusalOf(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof IsthmusError ? error.code : error;
  }
}
