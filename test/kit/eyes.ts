/**
 * Independent eyes: the official Java clients, which check what our own drivers wrote and write what they read.
 *
 * One JVM serves a whole test file, because starting one takes seconds. Its program is in java/; this is its typed face.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { javaCommand } from '../../scripts/brokers/tools.ts';
import { compileJava } from './java-program.ts';
import { type Member, type MemberOptions, startMember } from './members.ts';
import { type PulsarEyes, pulsarEyes } from './pulsar-eyes.ts';
import { type RocketmqEyes, rocketmqEyes } from './rocketmq-eyes.ts';

export type Eyes = {
  /** The eyes on one RocketMQ cluster; `namesrv` as host:port, several separated by semicolons. */
  rocketmq(namesrv: string): RocketmqEyes;
  pulsar(endpoints: { readonly serviceUrl: string; readonly adminUrl: string }): PulsarEyes;
  /** Starts a consumer of the official client that consumes until it is stopped. */
  member(options: MemberOptions): Promise<Member>;
  /** Ends the JVM. */
  close(): Promise<void>;
};

/**
 * Sends one request and hands each row of the answer to `onRow`; resolves with the answer's end. The caller states the
 * shapes: they are those of the Java program beside this file, and the eyes' own test reads every one of them.
 */
export type Ask = <Result, Item = never>(
  request: Readonly<Record<string, unknown>>,
  onRow?: (row: Item) => void,
) => Promise<Result>;

type Pending = {
  readonly verb: unknown;
  onRow(row: unknown): void;
  resolve(result: unknown): void;
  reject(error: Error): void;
};

type Answer = { readonly id: number; readonly rows?: readonly unknown[]; readonly done?: unknown; readonly error?: string };

const keptErrorOutput = 8_000;

/** Compiles (once) and starts the Java program. Throws with what to install when there is no JDK. */
export async function startEyes(): Promise<Eyes> {
  const classPath = await compileJava(join(import.meta.dirname, 'java'));
  const child = spawn(javaCommand(), ['-Xmx768m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath, 'Eyes']);
  const ask = conversation(child);
  await ask({ verb: 'ping' });
  return {
    rocketmq: (namesrv) => rocketmqEyes(async (request, onRow) => await ask({ namesrv, ...request }, onRow)),
    pulsar: ({ serviceUrl, adminUrl }) =>
      pulsarEyes(async (request, onRow) => await ask({ serviceUrl, ...request }, onRow), adminUrl),
    member: async (options) => await startMember(ask, options),
    close: async () => await end(child),
  };
}

function conversation(child: ChildProcessWithoutNullStreams): Ask {
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let errorOutput = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    errorOutput = (errorOutput + text).slice(-keptErrorOutput);
  });
  const failAll = (reason: string): void => {
    for (const waiting of pending.values()) waiting.reject(new Error(`${String(waiting.verb)}: ${reason}\n${errorOutput}`));
    pending.clear();
  };
  child.once('error', (error) => failAll(`the Java program cannot run: ${error.message}`));
  child.once('exit', (code, signal) => failAll(`the Java program ended (${code ?? signal})`));
  child.stdin.on('error', (error) => failAll(`the Java program does not listen: ${error.message}`));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = parseAnswer(line);
    const waiting = pending.get(answer.id);
    if (waiting === undefined) throw new Error(`an answer that nobody waits for: ${line.slice(0, 200)}`);
    for (const row of answer.rows ?? []) waiting.onRow(row);
    if (answer.error !== undefined) waiting.reject(new Error(`${String(waiting.verb)}: ${answer.error}`));
    else if ('done' in answer) waiting.resolve(answer.done);
    if (answer.rows === undefined) pending.delete(answer.id);
  });
  return async <Result, Item>(request: Readonly<Record<string, unknown>>, onRow?: (row: Item) => void) =>
    await new Promise<Result>((resolve, reject) => {
      const id = ++lastId;
      pending.set(id, {
        verb: request['verb'],
        onRow: (row) => onRow?.(row as Item),
        resolve: (result) => resolve(result as Result),
        reject,
      });
      child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    });
}

function parseAnswer(line: string): Answer {
  const answer: unknown = JSON.parse(line);
  if (typeof answer !== 'object' || answer === null || !('id' in answer)) throw new Error(`not an answer: ${line.slice(0, 200)}`);
  return answer as Answer;
}

async function end(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.stdin.end();
  await gone;
}
