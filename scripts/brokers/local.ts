/** The bed as processes of this machine. */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { artifactDirectory, artifacts, ensureArtifact, toolsToFetch } from './artifacts.ts';
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

export type LocalOptions = {
  readonly offset: number;
  /** Holds one directory per server. */
  readonly dataDirectory: string;
  readonly cache: string;
  readonly report: Report;
};

export function localProvider(options: LocalOptions): Provider {
  const specOf = (name: ServerName): ServerSpec => buildSpec(name, options);
  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    const waiting = (): void => options.report(`waiting for another command that works on ${options.dataDirectory}`);
    return await withLock(join(options.dataDirectory, 'lock'), lockLimitMs, waiting, work);
  };
  return {
    up: async (names) => await alone(async () => await startAll(withNamesrvOwners(names).map(specOf), options)),
    down: async (names, wipe) => await alone(async () => await stopAll(names.map(specOf), wipe)),
    status: async (names) => await Promise.all(names.map(async (name) => await statusOf(specOf(name)))),
    logs: async (name) => tailOfLogs(specOf(name)),
    kill: async (name) => await killHard(pidFile(specOf(name), serverProcess(specOf(name)))),
    stop: async (name) => await terminate(pidFile(specOf(name), serverProcess(specOf(name))), stopLimitMs),
    pause: async (name) => signalServer(specOf(name), 'SIGSTOP'),
    resume: async (name) => signalServer(specOf(name), 'SIGCONT'),
  };
}

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

async function startAll(specs: readonly ServerSpec[], options: LocalOptions): Promise<readonly ServerName[]> {
  const absent = specs.filter((spec) => spec.processes.some((process) => readRunning(pidFile(spec, process)) === undefined));
  for (const spec of specs) if (!absent.includes(spec)) options.report(`${spec.name} runs already`);
  await prepare(absent, options);
  // A further broker needs its cluster's namesrv, so clusters come before brokers that join them: the given order has them so,
  // and joining is retried by the broker itself. All may start at once.
  const results = await Promise.allSettled(specs.map(async (spec) => await startServer(spec, options)));
  const problems = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  if (problems.length > 1) {
    throw new BrokersError(problems.map((problem) => (problem instanceof Error ? problem.message : String(problem))).join('\n'));
  }
  if (problems.length === 1) throw problems[0];
  return absent.map((spec) => spec.name);
}

/** Everything that can go wrong before a process is started: tools, programs, ports. All of it for all servers first. */
async function prepare(absent: readonly ServerSpec[], options: LocalOptions): Promise<void> {
  const wanted = [...new Set(absent.flatMap((spec) => (spec.artifact === undefined ? [] : [spec.artifact])))];
  const needed = wanted.map((name) => artifacts[name]);
  await requireTools([...absent.flatMap((spec) => spec.tools), ...toolsToFetch(needed, options.cache)]);
  const taken = (await Promise.all(absent.map(async (spec) => await portsTaken(spec, options.offset)))).flat();
  if (taken.length > 0) {
    throw new BrokersError(
      `${taken.join('\n')}\nStop what listens there, or shift all ports: --offset 1000 (ISTHMUS_PORT_OFFSET=1000 for tests).`,
    );
  }
  for (const artifact of needed) await ensureArtifact(artifact, options.cache, options.report);
}

async function portsTaken(spec: ServerSpec, offset: number): Promise<readonly string[]> {
  // Where one of two processes still runs, its ports are its own; the other then fails by itself, with its log shown.
  if (spec.processes.some((process) => readRunning(pidFile(spec, process)) !== undefined)) return [];
  const ports = listenedPorts(endpointsOf(spec.name, offset));
  const busy = await Promise.all(ports.map(async (port) => ((await isListening(port)) ? [port] : [])));
  return busy.flat().map((port) => `Port ${port} of ${spec.name} is taken by a program that was not started from here.`);
}

async function startServer(spec: ServerSpec, options: LocalOptions): Promise<void> {
  const began = performance.now();
  let started = false;
  for (const process of spec.processes) {
    let record = readRunning(pidFile(spec, process));
    if (record === undefined) {
      if (!started) writeFiles(spec);
      started = true;
      const files = { pidFile: pidFile(spec, process), logFile: logFile(spec, process) };
      record = await launch({
        command: process.command,
        args: process.args,
        env: process.env,
        directory: spec.directory,
        ...files,
      });
      options.report(`${spec.name}: ${process.id} started (pid ${record.pid})`);
    }
    const running = record;
    const log = logFile(spec, process);
    const ended = async (): Promise<string | undefined> => (isRunning(running) ? undefined : `${tail(log, 3_000)}\n(${log})`);
    await untilReady(`${spec.name}: ${process.id}`, process.check, ended);
  }
  if (started) options.report(`${spec.name} is ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

function writeFiles(spec: ServerSpec): void {
  for (const [path, content] of Object.entries(spec.files())) {
    const file = join(spec.directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

async function stopAll(specs: readonly ServerSpec[], wipe: boolean): Promise<readonly ServerName[]> {
  const stopped = await Promise.all(
    specs.map(async (spec) => {
      const ran = spec.processes.some((process) => readRunning(pidFile(spec, process)) !== undefined);
      // The broker first: it says goodbye to its namesrv.
      for (const process of spec.processes.toReversed()) await terminate(pidFile(spec, process), stopLimitMs);
      if (wipe) rmSync(spec.directory, { recursive: true, force: true });
      return ran ? [spec.name] : [];
    }),
  );
  return stopped.flat();
}

async function statusOf(spec: ServerSpec): Promise<ServerStatus> {
  const record = readRunning(pidFile(spec, serverProcess(spec)));
  if (record === undefined) return { name: spec.name, state: 'stopped', pid: undefined, residentBytes: undefined };
  const missing = await Promise.all(spec.processes.map(async (process) => await process.check.probe()));
  const state = missing.every((what) => what === undefined) ? 'ready' : 'starting';
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
