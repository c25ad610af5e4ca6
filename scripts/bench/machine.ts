import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { pulsarVersion, rocketmqVersion } from '../brokers/artifacts.ts';

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gib: number;
  readonly system: string;
  readonly node: string;
  readonly rocketmq: string;
  readonly pulsar: string;
  /** Processes that ran or waited in the minute before the start: well below the number of cores, or the figures are somebody else's. */
  readonly load_before: number;
};

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model ?? 'unknown',
    cores: cores.length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    rocketmq: rocketmqVersion,
    pulsar: pulsarVersion,
    load_before: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}
