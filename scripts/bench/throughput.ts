/** A backlog mirrored as fast as possible, by Isthmus and by the rival in turn. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileJava } from '../../test/kit/java-program.ts';
import { javaCommand } from '../brokers/server.ts';
import type { Bed } from './bed.ts';
import { startChild } from './child.ts';
import { watchFlow } from './flow.ts';
import { startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';

export type Backlog = { readonly name: string; readonly topic: string; readonly count: number; readonly size: number };

/** One run of one side. Null where not measured. */
export type Run = {
  /** From the first messages seen on the target to the last. */
  readonly flowMessagesPerSecond: number | null;
  /** From the start of the process to the last message. */
  readonly wholeMessagesPerSecond: number | null;
  /** Without the start of the process and its clients. Only the rival knows it of itself. */
  readonly flowCpuMicros: number | null;
  /** Of the process from its start until it is done. */
  readonly wholeCpuMicros: number | null;
  readonly peakRssMib: number | null;
  /** Why the figures do not count. */
  readonly void: string | null;
};

export const queues = 8;
/** Time for the last acknowledgements and checkpoints, so that their CPU is counted too. */
const settleMs = 1_000;
const namespace = 'persistent://public/default';

export async function loadBacklog(bed: Bed, backlog: Backlog): Promise<void> {
  bed.report(`loading ${backlog.count} messages of ${backlog.name} over ${queues} queues`);
  await bed.sourceEyes.createTopic(backlog.topic, { queues });
  await bed.sourceEyes.load(backlog.topic, { count: backlog.count, size: backlog.size, keys: 10_000 });
}

export async function runIsthmus(bed: Bed, backlog: Backlog): Promise<Run> {
  return await onFreshTopic(bed, backlog, async (target) => {
    const rename = `${namespace}/${target}`;
    const isthmus = await startIsthmus(bed, { topics: backlog.topic, rename });
    try {
      const flow = await watchFlow(bed.targetEyes, rename, backlog.count, isthmus.assertRunning, bed.report);
      await sleep(settleMs);
      const cost = costOf(isthmus.pid);
      return {
        flowMessagesPerSecond: perSecond(backlog.count - flow.firstSeenCount, flow.completeAt - flow.firstSeenAt),
        wholeMessagesPerSecond: perSecond(backlog.count, flow.completeAt - isthmus.beganAt),
        flowCpuMicros: null,
        wholeCpuMicros: cost.cpuSeconds === null ? null : (cost.cpuSeconds * 1e6) / backlog.count,
        peakRssMib: cost.peakRssMib,
        void: null,
      };
    } finally {
      await isthmus.stop();
    }
  });
}

type BridgeReport = { readonly flow_cpu_s: number; readonly process_cpu_s: number };

export async function runRival(bed: Bed, backlog: Backlog): Promise<Run> {
  const classPath = await compileJava(join(import.meta.dirname, '../../bench/java-bridge'));
  return await onFreshTopic(bed, backlog, async (target) => {
    const to = `${namespace}/${target}`;
    const addresses = ['--namesrv', bed.source.namesrv, '--service', bed.target.serviceUrl];
    const beganAt = performance.now();
    const bridge = startChild(javaCommand(), [
      '-cp',
      classPath,
      'Bridge',
      ...addresses,
      '--topic',
      backlog.topic,
      '--to',
      to,
      '--count',
      String(backlog.count),
    ]);
    try {
      let peakRssMib: number | null = null;
      const flow = await watchFlow(
        bed.targetEyes,
        to,
        backlog.count,
        () => {
          bridge.assertRunning();
          peakRssMib = costOf(bridge.pid).peakRssMib;
        },
        bed.report,
      );
      const own = JSON.parse((await bridge.finished()).trim().split('\n').at(-1) ?? '') as BridgeReport;
      return {
        flowMessagesPerSecond: perSecond(backlog.count - flow.firstSeenCount, flow.completeAt - flow.firstSeenAt),
        wholeMessagesPerSecond: perSecond(backlog.count, flow.completeAt - beganAt),
        flowCpuMicros: (own.flow_cpu_s * 1e6) / backlog.count,
        wholeCpuMicros: (own.process_cpu_s * 1e6) / backlog.count,
        peakRssMib,
        void: null,
      };
    } finally {
      await bridge.stop();
    }
  });
}

/** Runs `work` with a new target topic and checks afterwards that it holds every message exactly once. */
async function onFreshTopic(bed: Bed, backlog: Backlog, work: (target: string) => Promise<Run>): Promise<Run> {
  const target = `${backlog.topic}-${Date.now()}`;
  const topic = `${namespace}/${target}`;
  // Made beforehand for both sides, so that neither pays for it.
  await bed.targetEyes.createTopic(topic, queues);
  try {
    const run = await work(target);
    const { messages, distinct } = await bed.targetEyes.count(topic);
    if (messages === backlog.count && distinct === backlog.count) return run;
    return voided(`${messages} messages of which ${distinct} different, instead of ${backlog.count}`);
  } catch (error) {
    return voided(error instanceof Error ? error.message : String(error));
  } finally {
    await bed.targetEyes.deleteTopic(topic);
  }
}

function voided(reason: string): Run {
  return {
    flowMessagesPerSecond: null,
    wholeMessagesPerSecond: null,
    flowCpuMicros: null,
    wholeCpuMicros: null,
    peakRssMib: null,
    void: reason,
  };
}

function perSecond(count: number, milliseconds: number): number {
  return (count / milliseconds) * 1000;
}
