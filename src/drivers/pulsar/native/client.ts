import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IsthmusError } from '../../../errors.ts';
import type { PulsarDeps, PulsarOptions } from '../options.ts';
import { type LoadModule, loadPulsarModule, type NativeClient, type PulsarModule } from './module.ts';

const OPERATION_TIMEOUT_SECONDS = 30;
/** The client's log level for warnings. */
const WARN = 2;

interface OpenClient {
  readonly module: PulsarModule;
  readonly client: NativeClient;
  /** What it shows to the broker. */
  readonly token: string | undefined;
}

/**
 * The official client of a cluster, loaded and made at its first use. It keeps a token for its lifetime: where that comes from a file which has changed, whoever asks next
 * gets a new client, and the former one stays for those who have it.
 */
export class NativeClients {
  readonly #options: PulsarOptions;
  readonly #deps: PulsarDeps;
  readonly #load: LoadModule;
  #current: Promise<OpenClient> | undefined;
  readonly #all = new Set<NativeClient>();
  #directory: Promise<string> | undefined;

  constructor(options: PulsarOptions, deps: PulsarDeps, load: LoadModule) {
    if (options.tls?.serverName !== undefined)
      throw new IsthmusError(
        'CONFIG_INVALID',
        'tls.serverName has no effect with driver: native, whose client compares the host',
      );
    this.#options = options;
    this.#deps = deps;
    this.#load = load;
  }

  /** Rejects with CONFIG_INVALID where the package is missing, ACCESS_DENIED where the token cannot be read. */
  async get(): Promise<OpenClient> {
    const token = await this.#token();
    const current = await this.#current?.catch(() => undefined);
    if (current === undefined || current.token !== token) this.#current = this.#open(token);
    return await (this.#current ?? this.#open(token));
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#all].map((client) => client.close()));
    this.#all.clear();
    this.#current = undefined;
    const directory = await this.#directory?.catch(() => undefined);
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  }

  async #token(): Promise<string | undefined> {
    const { auth } = this.#options;
    if (auth?.kind === 'token') return auth.token;
    if (auth?.kind !== 'token-file') return undefined;
    try {
      return (await readFile(auth.path, 'utf8')).trim();
    } catch (error) {
      throw new IsthmusError('ACCESS_DENIED', `reading the token file ${auth.path}: ${String(error)}`, { cause: error });
    }
  }

  async #open(token: string | undefined): Promise<OpenClient> {
    const module = await loadPulsarModule(this.#load);
    const { serviceUrl, listenerName, tls, auth } = this.#options;
    const [ca, cert, key] = await Promise.all([
      this.#pem('ca.pem', tls?.ca),
      this.#pem('cert.pem', tls?.cert),
      this.#pem('key.pem', tls?.key),
    ]);
    let authentication: object | undefined;
    if (token !== undefined) authentication = new module.AuthenticationToken({ token });
    else if (auth?.kind === 'tls')
      authentication = new module.AuthenticationTls({ certificatePath: cert ?? '', privateKeyPath: key ?? '' });
    const { log } = this.#deps;
    const client = new module.Client({
      serviceUrl,
      operationTimeoutSeconds: OPERATION_TIMEOUT_SECONDS,
      tlsValidateHostname: tls?.allowUntrusted !== true,
      tlsAllowInsecureConnection: tls?.allowUntrusted === true,
      logLevel: WARN,
      log: (_level: number, file: string, line: number, message: string) =>
        log.debug('native-client', { at: `${file}:${line}`, detail: message.slice(0, 500) }),
      ...(authentication === undefined ? {} : { authentication }),
      ...(listenerName === undefined ? {} : { listenerName }),
      ...(ca === undefined ? {} : { tlsTrustCertsFilePath: ca }),
      ...(cert === undefined ? {} : { tlsCertificateFilePath: cert }),
      ...(key === undefined ? {} : { tlsPrivateKeyFilePath: key }),
    });
    this.#all.add(client);
    return { module, client, token };
  }

  /** The client takes files only: the PEM text goes into one that nobody else may read, until `close`. */
  async #pem(name: string, text: string | undefined): Promise<string | undefined> {
    if (text === undefined) return undefined;
    this.#directory ??= mkdtemp(join(tmpdir(), 'isthmus-pulsar-'));
    const path = join(await this.#directory, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  }
}
