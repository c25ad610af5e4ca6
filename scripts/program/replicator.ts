/** Isthmus as a user runs it: a process of its own, with a configuration file. */
import { join } from 'node:path';
import { type Program, program } from './program.ts';

/** Loaded before the program: ends it in good order when whoever started it is gone, however that went. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  "process.once('disconnect', () => process.kill(process.pid, 'SIGTERM')); process.channel?.unref();",
)}`;

const root = join(import.meta.dirname, '../..');

export type ReplicatorOptions = {
  readonly configFile: string;
  readonly logFile: string;
  /** Runs what was compiled, as the container image does; default: the sources. */
  readonly compiled?: boolean;
  /** Modules to load before it. */
  readonly imports?: readonly string[];
  /** Further arguments of Node. */
  readonly nodeArgs?: readonly string[];
};

export function replicator({ configFile, logFile, compiled, imports = [], nodeArgs = [] }: ReplicatorOptions): Program {
  const preloads = [endWithParent, ...imports].flatMap((module) => ['--import', module]);
  const main = join(root, compiled === true ? 'dist/main.js' : 'src/main.ts');
  return program({
    name: 'The replicator',
    command: process.execPath,
    args: [...nodeArgs, ...preloads, main, 'run', '-c', configFile],
    logFile,
    tethered: true,
  });
}
