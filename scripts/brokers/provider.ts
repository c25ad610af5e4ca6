/** What a way of running the bed's servers offers. Two ways exist: local processes (local.ts) and containers (docker.ts). */
import type { ServerName } from './table.ts';

export type ServerStatus = {
  readonly name: ServerName;
  readonly state: 'ready' | 'not-ready' | 'stopped';
  /** Of the server itself; undefined while it is stopped and in containers. */
  readonly pid: number | undefined;
  readonly residentBytes: number | undefined;
};

export type Provider = {
  /**
   * Starts what does not run yet of these servers and resolves when all of them serve. Resolves to the names that it had to
   * start; what a failed start leaves running is found by the next call and by `down`.
   */
  readonly up: (names: readonly ServerName[]) => Promise<readonly ServerName[]>;
  /** Stops these servers if this provider started them, ever; `wipe` removes their data as well. */
  readonly down: (names: readonly ServerName[], wipe: boolean) => Promise<readonly ServerName[]>;
  readonly status: (names: readonly ServerName[]) => Promise<readonly ServerStatus[]>;
  /** The newest lines of the server's logs. */
  readonly logs: (name: ServerName) => Promise<string>;
  /** SIGKILL for the server process; a RocketMQ cluster keeps its namesrv. */
  readonly kill: (name: ServerName) => Promise<void>;
  /** SIGKILL for every process of the server, a namesrv of its own included: its region is gone. */
  readonly crash: (name: ServerName) => Promise<void>;
  /** SIGTERM for the server process, and SIGKILL after a limit; a RocketMQ cluster keeps its namesrv. */
  readonly stop: (name: ServerName) => Promise<void>;
  /** SIGSTOP: connections stay open, nothing is answered. */
  readonly pause: (name: ServerName) => Promise<void>;
  /** SIGCONT. */
  readonly resume: (name: ServerName) => Promise<void>;
};
