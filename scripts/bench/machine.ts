import { cpus, release, totalmem, type } from 'node:os';
import { pulsarVersion, rocketmqVersion } from '../brokers/artifacts.ts';

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gib: number;
  readonly system: string;
  readonly node: string;
  readonly rocketmq: string;
  readonly pulsar: string;
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
  };
}
