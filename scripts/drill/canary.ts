/** The canary: an application that writes records at a steady pace, lane by lane in order, and remembers what its broker has acknowledged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { idOf, type Writer, type Written } from './judge.ts';
import type { Side } from './sides.ts';

export type CanaryOptions = {
  readonly writer: Writer;
  readonly topic: string;
  readonly lanes: number;
  /** Records per second over all lanes. */
  readonly rate: number;
};

export type Canary = Written & {
  /** Ends writing. Resolves when what is on its way has ended, one way or the other. */
  readonly stop: () => Promise<void>;
  /** Writes no more until it may go on. Resolves when what is on its way has ended. */
  readonly pause: () => Promise<void>;
  readonly goOn: () => void;
};

const keysPerLane = 8;
const afterFailureMillis = 250;
const bodyBytes = 200;
const pauseLookMillis = 20;

/** Starts to write. What fails is not sent again: the next record comes in its place, so that each id is stored at most once. */
export function startCanary(side: Side, { writer, topic, lanes, rate }: CanaryOptions): Canary {
  const acknowledged = new Map<string, number>();
  const inDoubt = new Set<string>();
  let stopping = false;
  let paused = false;
  let onTheirWay = 0;
  const writeLane = async (lane: number): Promise<void> => {
    const pauseMillis = (1_000 * lanes) / rate;
    let dueAt = performance.now() + (lane / lanes) * pauseMillis;
    for (let number = 0; !stopping; number++) {
      await sleep(Math.max(0, dueAt - performance.now()));
      while (paused && !stopping) await sleep(pauseLookMillis);
      if (stopping) return;
      dueAt = Math.max(dueAt, performance.now() - pauseMillis) + pauseMillis;
      const id = idOf(writer, lane, number);
      const key = `${writer}-${lane}-k${number % keysPerLane}`;
      inDoubt.add(id);
      onTheirWay++;
      try {
        await side.send(topic, { id, key, lane, body: id.padEnd(bodyBytes, '.') });
        inDoubt.delete(id);
        acknowledged.set(id, Date.now());
      } catch {
        // A broker that is down or on its way down: an application waits a little, too.
        await sleep(afterFailureMillis);
      } finally {
        onTheirWay--;
      }
    }
  };
  const working = Promise.all(Array.from({ length: lanes }, async (_, lane) => await writeLane(lane)));
  return {
    acknowledged,
    inDoubt,
    pause: async () => {
      paused = true;
      while (onTheirWay > 0) await sleep(pauseLookMillis);
    },
    goOn: () => {
      paused = false;
    },
    stop: async () => {
      stopping = true;
      await working;
    },
  };
}
