import { IsthmusError } from '../../../../errors.ts';
import type { Clock } from '../../../../spi/clock.ts';
import type { Log } from '../../../../spi/log.ts';
import type { Network } from '../../network.ts';
import { accepted, refusal } from '../../refusal.ts';
import { ResponseCode } from '../../wire/codes.ts';
import { getRuntimeInfo, type LogProgress, readLogProgress } from '../../wire/runtime-info.ts';
import { sendNothing } from '../../wire/send-message.ts';
import { QuietTime } from './quiet-time.ts';

const PROBE_STEP_MILLIS = 200;
const INDEX_STEP_MILLIS = 20;
/** After this time the wait is given up, so that somebody hears of it; it is begun again then. */
const PATIENCE_MILLIS = 60_000;
/** Where a broker does not tell how far its index is, it gets this time. */
const BLIND_INDEX_MILLIS = 3_000;

interface Window {
  readonly startedAt: number;
  readonly done: Promise<void>;
}

/**
 * Finds out when everything that was sent to a broker before a moment is stored for good, and can be read, or will never be.
 *
 * A send whose connection is lost can still lie in the broker: in a socket, in the queue of its send threads, in a thread that is about to store. And what is stored shows late,
 * because the index runs behind the log. A look at a queue that is taken too early misses it, and it is sent a second time. Reasons in docs/decisions/0010.
 */
export class Settler {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #windows = new Map<string, Window>();
  /** By address: everything sent before this moment (monotonic milliseconds) is settled. */
  readonly #settled = new Map<string, number>();

  constructor(network: Network, clock: Clock, log: Log) {
    this.#network = network;
    this.#clock = clock;
    this.#log = log;
  }

  /** Resolves when all that was sent to the broker before `since` (monotonic milliseconds) can be read or will never be. Writers share the wait. Rejects when the broker fails meanwhile. */
  async settle(address: string, topic: string, since: number): Promise<void> {
    while ((this.#settled.get(address) ?? Number.NEGATIVE_INFINITY) < since) {
      const running = this.#windows.get(address);
      // A window that began before is no use, but two at a time neither.
      if (running !== undefined && running.startedAt < since) await running.done.catch(() => undefined);
      else await (running ?? this.#begin(address, topic)).done;
    }
  }

  #begin(address: string, topic: string): Window {
    const startedAt = this.#clock.monotonic();
    const done = this.#run(address, topic).finally(() => this.#windows.delete(address));
    const window = { startedAt, done };
    this.#windows.set(address, window);
    return window;
  }

  async #run(address: string, topic: string): Promise<void> {
    const quietSince = await this.#quiet(address, topic);
    await this.indexed(address);
    this.#settled.set(address, quietSince);
  }

  /** Resolves to the moment since which the broker has answered probes in time. */
  async #quiet(address: string, topic: string): Promise<number> {
    const patientUntil = this.#clock.monotonic() + PATIENCE_MILLIS;
    const quiet = new QuietTime();
    for (;;) {
      const askedAt = this.#clock.monotonic();
      await this.#probe(address, topic);
      const answeredAt = this.#clock.monotonic();
      const quietSince = quiet.answered(askedAt, answeredAt);
      if (quietSince !== undefined) return quietSince;
      if (answeredAt > patientUntil)
        throw new IsthmusError(
          'BROKER_BUSY',
          `asking ${address} whether all sends to ${topic} are stored: it answers too slowly to tell`,
        );
      await this.#clock.sleep(PROBE_STEP_MILLIS);
    }
  }

  /** Goes where sends go, through the same queue and threads, and stores nothing. */
  async #probe(address: string, topic: string): Promise<void> {
    const answer = await this.#network.call(address, sendNothing(topic));
    if (answer.code !== ResponseCode.INVALID_PARAMETER)
      throw refusal(answer, `asking ${address} whether all sends to ${topic} are stored`);
  }

  /** Resolves when everything that the broker has stored by now can be read. */
  async indexed(address: string): Promise<void> {
    const patientUntil = this.#clock.monotonic() + PATIENCE_MILLIS;
    let last = await this.#progress(address);
    if (last === undefined) return this.#clock.sleep(BLIND_INDEX_MILLIS);
    const wanted = last.endBytes;
    for (;;) {
      const now = await this.#progress(address);
      // The two numbers of an answer are not of one moment: the end may be newer than the distance to it. That of the answer before is surely older.
      if (now === undefined || last.endBytes - now.behindBytes >= wanted) return;
      if (this.#clock.monotonic() > patientUntil)
        throw new IsthmusError('BROKER_BUSY', `waiting for the index of ${address}: it is ${now.behindBytes} bytes behind`);
      last = now;
      await this.#clock.sleep(INDEX_STEP_MILLIS);
    }
  }

  /** `undefined` where the broker does not let us know. */
  async #progress(address: string): Promise<LogProgress | undefined> {
    const answer = await this.#network.call(address, getRuntimeInfo());
    if (answer.code === ResponseCode.NO_PERMISSION) {
      this.#log.info('broker-progress-unknown', { address, message: answer.remark });
      return undefined;
    }
    return readLogProgress(accepted(answer, `asking ${address} how far its index is`));
  }
}
