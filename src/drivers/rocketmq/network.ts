import { IsthmusError, toIsthmusError } from '../../errors.ts';
import type { FramePool } from '../../lib/frame-pool.ts';
import { parseEndpoint } from '../../wire/endpoint.ts';
import type { RocketmqDeps, RocketmqOptions } from './options.ts';
import { RemotingConnection } from './remoting.ts';
import { signRequest } from './wire/acl.ts';
import { ResponseCode } from './wire/codes.ts';
import { type Command, encodeJson, type Request } from './wire/command.ts';

const CALL_TIMEOUT_MILLIS = 5_000;

/** One connection for each address, made when it is first needed and again after it was lost. */
export class Network {
  /** Adds the credentials; `undefined` where the cluster has none. */
  readonly sign: ((request: Request) => Request) | undefined;
  readonly #options: RocketmqOptions;
  readonly #deps: RocketmqDeps;
  readonly #frames: FramePool;
  readonly #open = new Map<string, RemotingConnection>();
  readonly #opening = new Map<string, Promise<RemotingConnection>>();
  /** The name server that answered last is asked first. */
  #namesrv = 0;
  readonly #resets: boolean;
  #closed = false;

  /** `resets`: a connection that is given up takes what it has not sent yet with it, instead of delivering it late. */
  constructor(options: RocketmqOptions, deps: RocketmqDeps, frames: FramePool, resets = false) {
    const { auth } = options;
    this.#options = options;
    this.#deps = deps;
    this.#frames = frames;
    this.#resets = resets;
    this.sign = auth === undefined ? undefined : (request) => signRequest(request, auth);
  }

  /** Rejects with CONNECT_FAILED, or CLOSED. Callers that come at the same time share one attempt. */
  async connection(address: string): Promise<RemotingConnection> {
    const open = this.#open.get(address);
    if (open !== undefined) return open;
    const opening = this.#opening.get(address) ?? this.#connect(address);
    this.#opening.set(address, opening);
    return opening;
  }

  async #connect(address: string): Promise<RemotingConnection> {
    try {
      const { tls } = this.#options;
      const { clock } = this.#deps;
      const connection = await RemotingConnection.open({
        endpoint: parseEndpoint(address),
        tls,
        clock,
        resets: this.#resets,
        allocate: (bytes) => this.#frames.take(bytes),
        onClose: () => this.#open.delete(address),
      });
      if (this.#closed) {
        connection.close();
        throw new IsthmusError('CLOSED', `connecting to ${address}: the cluster was closed`);
      }
      this.#open.set(address, connection);
      return connection;
    } finally {
      this.#opening.delete(address);
    }
  }

  /** Asks one server and waits for its answer, whatever its code. Rejects with transport errors only. */
  async call(address: string, request: Request): Promise<Command> {
    if (this.#closed) throw new IsthmusError('CLOSED', `asking ${address}: the cluster was closed`);
    const connection = await this.connection(address);
    const signed = this.sign?.(request) ?? request;
    return connection.ask((opaque) => encodeJson(signed, opaque), CALL_TIMEOUT_MILLIS);
  }

  /** Asks the name servers in turn until one gives an answer that is not a failure of its own. */
  async callNamesrv(request: Request): Promise<Command> {
    const { namesrv } = this.#options;
    let failed: Command | undefined;
    let error: unknown;
    for (let i = 0; i < namesrv.length; i++) {
      const at = (this.#namesrv + i) % namesrv.length;
      try {
        const answer = await this.call(namesrv[at] ?? '', request);
        if (answer.code === ResponseCode.SUCCESS) {
          this.#namesrv = at;
          return answer;
        }
        failed ??= answer;
      } catch (cause) {
        error = cause;
      }
    }
    if (failed !== undefined) return failed;
    throw toIsthmusError(error ?? new IsthmusError('CONFIG_INVALID', 'asking a name server: none is configured'));
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#open.values()) connection.close();
  }
}
