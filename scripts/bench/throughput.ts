/** A backlog mirrored as fast as possible, by Isthmus and by the rival in turn. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterName, clusterConfig } from '../../test/kit/cluster-eyes.ts';
import { compileJava } from '../../test/kit/java-program.ts';
import { javaCommand } from '../brokers/tools.ts';
import { program } from '../program/program.ts';
import { type Bed, queues } from './bed.ts';
import type { Case } from './directions.ts';
import { watchFlow } from './flow.ts';
import { startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';

export type Backlog = Case & { readonly topic: string };

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

/** Time for the last acknowledgements and checkpoints, so that their CPU is counted too. */
const settleMs = 1_000;

export async function loadBacklog(bed: Bed, backlog: Backlog): Promise<void> {
  const { topic, count, size, batch } = backlog;
  bed.report(`loading ${count} messages of ${backlog.name} over ${queues} lanes of ${bed.source.name}`);
  await bed.source.createTopic(topic, queues);
  await bed.source.load(topic, { count, size, keys: 10_000, ...(bed.source.kind === 'pulsar' ? { batch } : {}) });
}

export async function runIsthmus(bed: Bed, backlog: Backlog, windows: boolean): Promise<Run> {
  return await onFreshTopic(bed, backlog, async (to) => {
    const isthmus = await startIsthmus(bed, { topics: { [backlog.topic]: to }, windows });
    try {
      const flow = await watchFlow(bed.target, to, backlog.count, isthmus.assertRunning, bed.report);
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
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-rival-'));
  return await onFreshTopic(bed, backlog, async (to) => {
    const { name, source, target } = bed.direction;
    const named = {
      way: name,
      source: addressOf(source, bed.offset),
      topic: bed.source.full(backlog.topic),
      target: addressOf(target, bed.offset),
      to: bed.target.full(to),
      count: String(backlog.count),
    };
    const args = ['-cp', classPath, 'Bridge', ...Object.entries(named).flatMap(([key, value]) => [`--${key}`, value])];
    const bridge = program({ name: 'The rival', command: javaCommand(), args, logFile: join(folder, 'rival.log') });
    const beganAt = performance.now();
    bridge.start();
    const pid = bridge.pid() ?? -1;
    try {
      let peakRssMib: number | null = null;
      const look = (): void => {
        bridge.assertRunning();
        peakRssMib = costOf(pid).peakRssMib;
      };
      const flow = await watchFlow(bed.target, to, backlog.count, look, bed.report);
      const own = reportOf(await bridge.finished());
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
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** The namesrv of a RocketMQ cluster, the service URL of a Pulsar cluster. */
function addressOf(name: ClusterName, offset: number): string {
  const { namesrv, serviceUrl } = clusterConfig(name, offset);
  return String(serviceUrl ?? (Array.isArray(namesrv) ? namesrv[0] : ''));
}

function reportOf(output: string): BridgeReport {
  const line = output.split('\n').findLast((each) => each.startsWith('{"stored"'));
  if (line === undefined) throw new Error(`The rival has reported nothing:\n${output.slice(-2_000)}`);
  return JSON.parse(line) as BridgeReport;
}

/** Runs `work` with a new target topic and checks afterwards that it holds every message exactly once. */
async function onFreshTopic(bed: Bed, backlog: Backlog, work: (to: string) => Promise<Run>): Promise<Run> {
  const to = `${backlog.topic}-${Date.now()}`;
  // Made beforehand for both sides, so that neither pays for it.
  await bed.target.createTopic(to, queues);
  try {
    const run = await work(to);
    const { messages, distinct } = await bed.target.count(to);
    if (messages === backlog.count && distinct === backlog.count) return run;
    return voided(`${messages} messages of which ${distinct} different, instead of ${backlog.count}`);
  } catch (error) {
    return voided(error instanceof Error ? error.message : String(error));
  } finally {
    await bed.target.deleteTopic(to);
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
