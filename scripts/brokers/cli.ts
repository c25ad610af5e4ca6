/** The `brokers` command. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheDirectory } from './artifacts.ts';
import { dockerProvider } from './docker.ts';
import { BrokersError, type Report } from './errors.ts';
import { localProvider } from './local.ts';
import type { Provider } from './provider.ts';
import {
  defaultNames,
  describeEndpoints,
  endpointsOf,
  isServerName,
  parseOffset,
  type ServerName,
  serverNames,
} from './table.ts';

const help = `Real brokers for trying, testing and measuring Isthmus, as processes of this machine.

Usage: npm run brokers -- COMMAND [options]

  up [NAME...]      start what does not run yet, and wait until it serves (default: ${defaultNames.join(' ')})
  down [NAME...]    stop what "up" has started (default: everything)
  status            what runs, where, and how much memory it takes
  logs NAME         the newest lines of a server's logs

Options:
  --offset N        shift every port by N and use a data directory of its own (default: $ISTHMUS_PORT_OFFSET, else 0)
  --data DIR        keep the servers' data in DIR (default: in the cache, one directory per offset)
  --wipe            with "down": remove the data too
  --json            with "status": one JSON array
  --help            this text

Names: ${serverNames.join(' ')}
Environment: ISTHMUS_CACHE (downloads and data; default ~/.cache/isthmus), ISTHMUS_PORT_OFFSET,
             ISTHMUS_BROKERS=docker (containers in place of processes)

Examples:
  npm run brokers -- up rmq-east pulsar-west redis-east
  npm run brokers -- up --offset 1000
  npm run brokers -- down --wipe
`;

export type ProviderOptions = {
  readonly offset: number;
  /** Default: a directory of the cache, one per offset. */
  readonly dataDirectory?: string | undefined;
  readonly report: Report;
};

/** The provider that ISTHMUS_BROKERS names: local processes if it is unset. */
export function chooseProvider(options: ProviderOptions): Provider {
  const { offset, report } = options;
  const cache = cacheDirectory();
  const kind = process.env['ISTHMUS_BROKERS'] ?? '';
  if (kind === 'docker') return dockerProvider({ offset, report });
  if (kind !== '' && kind !== 'local') {
    throw new BrokersError(`ISTHMUS_BROKERS is "local" or "docker", not ${JSON.stringify(kind)}`, 2);
  }
  // Servers run in directories of their own, where a relative path would mean something else.
  const dataDirectory = resolve(options.dataDirectory ?? join(cache, 'data', `offset-${offset}`));
  for (const directory of [cache, dataDirectory]) {
    // Pulsar's start script takes its options apart at spaces.
    if (/\s/.test(directory))
      throw new BrokersError(`${JSON.stringify(directory)} has a space in it; choose another ISTHMUS_CACHE or --data`, 2);
  }
  return localProvider({ offset, report, cache, dataDirectory });
}

/** Runs the command line and resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    if (error instanceof BrokersError) {
      console.error(error.message);
      return error.exitCode;
    }
    if (isUsageError(error)) {
      console.error(`${error.message}\nTry: npm run brokers -- --help`);
      return 2;
    }
    throw error;
  }
}

function isUsageError(error: unknown): error is Error {
  const parseError = error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  return parseError || error instanceof RangeError;
}

async function dispatch(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      offset: { type: 'string' },
      data: { type: 'string' },
      wipe: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [command, ...rest] = positionals;
  if (values.help || command === undefined) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const names = rest.map(requireName);
  const offset = parseOffset(values.offset ?? process.env['ISTHMUS_PORT_OFFSET']);
  const began = performance.now();
  const report: Report = (line) => console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const provider = chooseProvider({ offset, dataDirectory: values.data, report });
  switch (command) {
    case 'up':
      return await up(provider, names.length > 0 ? names : defaultNames, offset);
    case 'down':
      return await down(provider, names.length > 0 ? names : serverNames, values.wipe);
    case 'status':
      return await status(provider, names.length > 0 ? names : serverNames, offset, values.json);
    case 'logs':
      return await logs(provider, names);
    default:
      throw new BrokersError(`unknown command ${JSON.stringify(command)}\nTry: npm run brokers -- --help`, 2);
  }
}

function requireName(name: string): ServerName {
  if (isServerName(name)) return name;
  throw new BrokersError(`there is no server ${JSON.stringify(name)}; the names are: ${serverNames.join(' ')}`, 2);
}

async function up(provider: Provider, names: readonly ServerName[], offset: number): Promise<number> {
  const started = await provider.up(names);
  if (started.length === 0) console.log('Everything runs already.');
  for (const name of names) console.log(`${name.padEnd(12)} ${describeEndpoints(endpointsOf(name, offset)).join(', ')}`);
  return 0;
}

async function down(provider: Provider, names: readonly ServerName[], wipe: boolean): Promise<number> {
  const stopped = await provider.down(names, wipe);
  console.log(stopped.length === 0 ? 'Nothing to stop.' : `Stopped: ${stopped.join(', ')}`);
  return 0;
}

async function status(provider: Provider, names: readonly ServerName[], offset: number, json: boolean): Promise<number> {
  const servers = await provider.status(names);
  if (json) {
    console.log(JSON.stringify(servers.map((server) => ({ ...server, endpoints: endpointsOf(server.name, offset) }))));
    return 0;
  }
  for (const { name, state, pid, residentBytes } of servers) {
    const process = pid === undefined ? '' : `pid ${pid}`;
    const memory = residentBytes === undefined ? '' : `${(residentBytes / 2 ** 20).toFixed(0)} MiB`;
    const where = state === 'stopped' ? '' : describeEndpoints(endpointsOf(name, offset)).join(', ');
    console.log(`${name.padEnd(12)} ${state.padEnd(9)} ${process.padEnd(12)} ${memory.padEnd(9)} ${where}`.trimEnd());
  }
  return 0;
}

async function logs(provider: Provider, names: readonly ServerName[]): Promise<number> {
  const [name, ...more] = names;
  if (name === undefined || more.length > 0) throw new BrokersError('"logs" takes one name', 2);
  console.log(await provider.logs(name));
  return 0;
}
