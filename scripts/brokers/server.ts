/** What it takes to run one server of the bed as local processes. Builders: rocketmq.ts, pulsar.ts, redis.ts. */
import type { ArtifactName } from './artifacts.ts';
import type { Check } from './probe.ts';
import type { ServerName } from './table.ts';
import type { Tool } from './tools.ts';

export type ProcessSpec = {
  /** `namesrv` or `server`; names the files of the process. */
  readonly id: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly check: Check;
};

export type ServerSpec = {
  readonly name: ServerName;
  readonly directory: string;
  readonly tools: readonly Tool[];
  readonly artifact: ArtifactName | undefined;
  /** Configuration files by path below `directory`, written before each start. */
  readonly files: () => Readonly<Record<string, string>>;
  /** In starting order; the last one is the server that faults are aimed at. */
  readonly processes: readonly ProcessSpec[];
  /** Log files below `directory` that the server writes besides its output. */
  readonly extraLogs: readonly string[];
};

/** Where a server keeps its things. */
export type Place = {
  /** Directory of this one server. */
  readonly directory: string;
  /** Directory of the unpacked artifact; unused by Redis. */
  readonly home: string;
};

/** Flags of every JVM of the bed: the serial collector and the quick compiler suit several small brokers on two cores. */
export const frugalJvm: readonly string[] = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];

/** Renders a `key=value` file. */
export function properties(entries: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(entries)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
