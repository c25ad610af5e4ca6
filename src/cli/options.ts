import { type Command, InvalidArgumentError, Option } from 'commander';
import { apiUrl, loadConfig } from '../config/load.ts';
import type { Config } from '../config/types.ts';
import type { CheckItem, Cluster } from '../spi/cluster.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import { CliError, EXIT, type Io } from './io.ts';

/** What main.ts hands in, because only it knows every room. */
export interface Wiring {
  readonly version: string;
  /** Runs until it is told to stop; resolves to the exit code. */
  run(config: Config): Promise<number>;
  /** Whether the state store could be used; never rejects, and leaves nothing in it. */
  checkState(config: Config): Promise<CheckItem>;
  openClusters(config: Config): OpenClusters | Promise<OpenClusters>;
}

export interface OpenClusters {
  readonly clusters: ReadonlyMap<string, Cluster>;
  close(): Promise<void>;
}

/** What every verb gets. */
export interface CliContext {
  readonly io: Io;
  readonly wiring: Wiring;
  /** Ends with another code than 0, after the result was printed. */
  readonly endWith: (code: number) => void;
}

export interface ApiOptions {
  readonly config?: string;
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
}

const DEFAULT_URL = 'http://127.0.0.1:8686';

/** Options of verbs that read the file. */
export function fileOptions(command: Command): Command {
  return command.requiredOption('-c, --config <file>', 'the configuration file').option('--json', 'print JSON');
}

/** Options of verbs that speak to a running process. */
export function apiOptions(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', 'where the process answers (ISTHMUS_URL; default: from -c, else ' + DEFAULT_URL + ')'))
    .option('--token <token>', 'bearer token; better in ISTHMUS_TOKEN, which other users of the machine cannot see')
    .option('-c, --config <file>', 'take the address and a token from this configuration file')
    .option('--json', 'print JSON');
}

/** Connects to the process that the options name. The command line wins over the environment, and that over the file. */
export function connect(io: Io, options: ApiOptions): ApiClient {
  const config = options.config === undefined ? undefined : loadConfig(options.config, io.environment);
  const url = options.url ?? io.environment['ISTHMUS_URL'] ?? (config === undefined ? DEFAULT_URL : apiUrl(config.http));
  const ofFile = config?.http.tokens.find(({ role }) => role === 'admin') ?? config?.http.tokens[0];
  return createApiClient(url, options.token ?? io.environment['ISTHMUS_TOKEN'] ?? ofFile?.token);
}

export interface MirrorName {
  readonly link: string;
  readonly name: string;
  /** The mirror's path in the API. */
  readonly path: string;
}

/** Reads `link/mirror`. */
export function mirrorName(text: string): MirrorName {
  const [link, name, ...rest] = text.split('/');
  if (!link || !name || rest.length > 0) throw new InvalidArgumentError('It must be LINK/MIRROR, for example east-west/orders.');
  return { link, name, path: `/v1/mirrors/${encodeURIComponent(link)}/${encodeURIComponent(name)}` };
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** The list in an answer of the API, whose rows have the shape that it documents. */
export function rowsOf<T>(answer: unknown, key: string): readonly T[] {
  const rows: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, key) : undefined;
  if (!Array.isArray(rows)) throw new CliError(EXIT.unreachable, `the answer holds no ${key}: is this the address of Isthmus?`);
  return rows as readonly T[];
}

export const toJson = (value: unknown): string => JSON.stringify(value, null, 2);
