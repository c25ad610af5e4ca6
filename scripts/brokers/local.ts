/** The bed as processes of this machine. */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ArtifactName, artifactDirectory, artifacts, ensureArtifact, toolsToFetch } from './artifacts.ts';
import { BrokersError, type Report } from './errors.ts';
import { withLock } from './lock.ts';
import { isListening, untilReady } from './probe.ts';
import { isRunning, killHard, launch, readRunning, residentBytes, signal, terminate } from './process.ts';
import type { Provider, ServerStatus } from './provider.ts';
import { pulsarServer } from './pulsar.ts';
import { redisServer } from './redis.ts';
import { rocketmqServer } from './rocketmq.ts';
import type { ProcessSpec, ServerSpec } from './server.ts';
import { endpointsOf, listenedPorts, type ServerName, withNamesrvOwners } from './table.ts';
import { requireTools } from './tools.ts';

const stopLimitMs = 20_000;
const lockLimitMs = 1_800_000;
const logTailBytes = 16_384;
const bindTries = 30;
const bindPauseMs = 2_000;

export type LocalOptions = {
  readonly offset: number;
  /** Holds one directory per server. */
  readonly dataDirectory: string;
  readonly cache: string;
  readonly report: Report;
};

export function localProvider(options: LocalOptions): Provider {
  const specOf = (name: ServerName): ServerSpec => buildSpec(name, options);
  const fetched = new Map<ArtifactName, Promise<string>>();
  const local: Local = {
    ...options,
    fetch: async (name) => {
      // Once per provider: a test that restarts a broker twenty times need not read its 240 MB twenty times.
      const fetching = fetched.get(name) ?? ensureArtifact(artifacts[name], options.cache, options.report);
      fetched.set(name, fetching);
      try {
        return await fetching;
      } catch (error) {
        fetched.delete(name);
        throw error;
      }
    },
    alone: async (name, work) => {
      const waiting = (): void => options.report(`waiting for another command that works on ${name}`);
      return await withLock(join(options.dataDirectory, `${name}.lock`), lockLimitMs, waiting, work);
    },
  };
  return {
    up: async (names) => await startAll(withNamesrvOwners(names).map(specOf), local),
    down: async (names, wipe) => await stopAll(names.map(specOf), wipe, local),
    status: async (names) => await Promise.all(names.map(async (name) => await statusOf(specOf(name)))),
    logs: async (name) => tailOfLogs(specOf(name)),
    kill: async (name) => await killHard(pidFile(specOf(name), serverProcess(specOf(name)))),
    crash: async (name) => {
      const spec = specOf(name);
      await Promise.all(spec.processes.map(async (process) => await killHard(pidFile(spec, process))));
    },
    stop: async (name) => await terminate(pidFile(specOf(name), serverProcess(specOf(name))), stopLimitMs),
    pause: async (name) => signalServer(specOf(name), 'SIGSTOP'),
    resume: async (name) => signalServer(specOf(name), 'SIGCONT'),
  };
}

type Local = LocalOptions & {
  readonly fetch: (name: ArtifactName) => Promise<string>;
  /** Runs work on a server while no other process works on the same one. */
  readonly alone: <T>(name: ServerName, work: () => Promise<T>) => Promise<T>;
};

function buildSpec(name: ServerName, options: LocalOptions): ServerSpec {
  const endpoints = endpointsOf(name, options.offset);
  const directory = join(options.dataDirectory, name);
  switch (endpoints.kind) {
    case 'rocketmq':
      return rocketmqServer(endpoints, { directory, home: artifactDirectory(artifacts.rocketmq, options.cache) });
    case 'pulsar':
      return pulsarServer(endpoints, { directory, home: artifactDirectory(artifacts.pulsar, options.cache) });
    case 'redis':
      return redisServer(endpoints, { directory, home: '' });
  }
}

function serverProcess(spec: ServerSpec): ProcessSpec {
  const last = spec.processes.at(-1);
  if (last === undefined) throw new Error(`${spec.name} has no process`);
  return last;
}

function pidFile(spec: ServerSpec, process: ProcessSpec): string {
  return join(spec.directory, `${process.id}.pid`);
}

function logFile(spec: ServerSpec, process: ProcessSpec): string {
  return join(spec.directory, `${process.id}.log`);
}

function signalServer(spec: ServerSpec, name: NodeJS.Signals): void {
  const record = readRunning(pidFile(spec, serverProcess(spec)));
  if (record === undefined || !signal(record, name)) throw new BrokersError(`${spec.name} does not run`);
}

async function startAll(specs: readonly ServerSpec[], local: Local): Promise<readonly ServerName[]> {
  await prepare(specs.filter(isAbsent), local);
  // All at once. A further broker may come before the namesrv of its cluster: it registers as soon as that answers.
  const results = await Promise.allSettled(
    specs.map(async (spec) => await local.alone(spec.name, async () => await startServer(spec, local))),
  );
  const problems = results.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []));
  if (problems.length > 1) {
    throw new BrokersError(problems.map((problem) => (problem instanceof Error ? problem.message : String(problem))).join('\n'));
  }
  if (problems.length === 1) throw problems[0];
  return specs.filter((_, index) => results[index]?.status === 'fulfilled' && results[index].value).map((spec) => spec.name);
}

function isAbsent(spec: ServerSpec): boolean {
  return spec.processes.some((process) => readRunning(pidFile(spec, process)) === undefined);
}

/** Everything that can go wrong before a process is started, for all servers first: tools, ports, programs. */
async function prepare(absent: readonly ServerSpec[], local: Local): Promise<void> {
  const wanted = [...new Set(absent.flatMap((spec) => (spec.artifact === undefined ? [] : [spec.artifact])))];
  const toFetch = toolsToFetch(
    wanted.map((name) => artifacts[name]),
    local.cache,
  );
  await requireTools([...absent.flatMap((spec) => spec.tools), ...toFetch]);
  const taken = (await Promise.all(absent.map(async (spec) => await portsTaken(spec, local.offset)))).flat();
  if (taken.length > 0) {
    throw new BrokersError(
      `${taken.join('\n')}\nStop what listens there, or shift all ports: --offset 2000 (for tests: ISTHMUS_PORT_OFFSET=2000).`,
    );
  }
  for (const name of wanted) await local.fetch(name);
}

async function portsTaken(spec: ServerSpec, offset: number): Promise<readonly string[]> {
  const ports = listenedPorts(endpointsOf(spec.name, offset));
  const busy = await Promise.all(ports.map(async (port) => ((await isListening(port)) ? [port] : [])));
  // Asked after the look at the ports, as another command may be starting this very server. Where only one of two processes
  // runs, its ports are its own; should the other's be taken, it ends by itself and its log is shown.
  if (spec.processes.some((process) => readRunning(pidFile(spec, process)) !== undefined)) return [];
  return busy.flat().map((port) => `Port ${port} of ${spec.name} is taken by a program that was not started from here.`);
}

/** Starts what is missing of a server and waits until it serves. False if nothing was missing. */
async function startServer(spec: ServerSpec, local: Local): Promise<boolean> {
  const began = performance.now();
  const absent = isAbsent(spec);
  if (absent) writeFiles(spec);
  for (const process of spec.processes) {
    await startProcess(spec, process, local);
  }
  local.report(
    absent ? `${spec.name} is ready after ${((performance.now() - began) / 1000).toFixed(1)} s` : `${spec.name} runs already`,
  );
  return absent;
}

async function startProcess(spec: ServerSpec, process: ProcessSpec, local: Local): Promise<void> {
  const files = { pidFile: pidFile(spec, process), logFile: logFile(spec, process) };
  const { command, args, env } = process;
  for (let tries = 1; ; tries++) {
    const found = readRunning(files.pidFile);
    const record = found ?? (await launch({ command, args, env, directory: spec.directory, ...files }));
    if (found === undefined) local.report(`${spec.name}: ${process.id} started (pid ${record.pid})`);
    try {
      await untilReady(`${spec.name}: ${process.id}`, process.check, async () =>
        isRunning(record) ? undefined : `${tail(files.logFile, 3_000)}\n(${files.logFile})`,
      );
      return;
    } catch (error) {
      // A connection of the former server lingers on its port for a minute, and west ports lie where Linux takes ports for outgoing connections.
      const portTaken = !isRunning(record) && /Address already in use/.test(tail(files.logFile, logTailBytes));
      if (!portTaken || tries === bindTries) throw error;
      local.report(`${spec.name}: a port is taken by some connection at the moment; trying again`);
      await sleep(bindPauseMs);
    }
  }
}

function writeFiles(spec: ServerSpec): void {
  for (const [path, content] of Object.entries(spec.files())) {
    const file = join(spec.directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

async function stopAll(specs: readonly ServerSpec[], wipe: boolean, local: Local): Promise<readonly ServerName[]> {
  // Not even a lock is made for a server that was never here.
  const known = specs.filter((spec) => existsSync(spec.directory));
  const stopped = await Promise.all(
    known.map(async (spec) => await local.alone(spec.name, async () => await stopServer(spec, wipe))),
  );
  return stopped.flat();
}

async function stopServer(spec: ServerSpec, wipe: boolean): Promise<readonly ServerName[]> {
  const ran = spec.processes.some((process) => readRunning(pidFile(spec, process)) !== undefined);
  // Good order takes RocketMQ about 10 s, and is of no use to data that goes at once.
  const limitMs = wipe ? 0 : stopLimitMs;
  // The broker first: it says goodbye to its namesrv.
  for (const process of spec.processes.toReversed()) await terminate(pidFile(spec, process), limitMs);
  if (wipe) rmSync(spec.directory, { recursive: true, force: true });
  return ran ? [spec.name] : [];
}

async function statusOf(spec: ServerSpec): Promise<ServerStatus> {
  const record = readRunning(pidFile(spec, serverProcess(spec)));
  if (record === undefined) return { name: spec.name, state: 'stopped', pid: undefined, residentBytes: undefined };
  const missing = await Promise.all(spec.processes.map(async (process) => await process.check.probe()));
  const state = missing.every((what) => what === undefined) ? 'ready' : 'not-ready';
  return { name: spec.name, state, pid: record.pid, residentBytes: residentBytes(record) };
}

function tailOfLogs(spec: ServerSpec): string {
  const files = [
    ...spec.processes.map((process) => logFile(spec, process)),
    ...spec.extraLogs.map((log) => join(spec.directory, log)),
  ];
  return files.map((file) => `==> ${file} <==\n${tail(file, logTailBytes)}\n`).join('\n');
}

/** The last lines of a file, from at most `bytes` bytes of it. */
function tail(file: string, bytes: number): string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    // A server that never ran has no log; said where the log would be.
    return '(no such file)';
  }
  try {
    const { size } = fstatSync(descriptor);
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    readSync(descriptor, buffer, 0, length, size - length);
    const text = buffer.toString('utf8');
    return length < size ? text.slice(text.indexOf('\n') + 1) : text;
  } finally {
    closeSync(descriptor);
  }
}
