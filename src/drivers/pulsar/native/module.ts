import { IsthmusError } from '../../../errors.ts';

/** What is used of the npm package `pulsar-client`, written down here because it need not be installed. */
export interface PulsarModule {
  readonly Client: new (config: Readonly<Record<string, unknown>>) => NativeClient;
  readonly MessageId: { deserialize(bytes: Buffer): NativeMessageId; earliest(): NativeMessageId };
  readonly AuthenticationToken: new (options: { readonly token: string }) => object;
  readonly AuthenticationTls: new (options: { readonly certificatePath: string; readonly privateKeyPath: string }) => object;
}

export interface NativeClient {
  createProducer(config: Readonly<Record<string, unknown>>): Promise<NativeProducer>;
  subscribe(config: Readonly<Record<string, unknown>>): Promise<NativeConsumer>;
  createReader(config: Readonly<Record<string, unknown>>): Promise<NativeReader>;
  close(): Promise<unknown>;
}

/** Opaque; its bytes are MessageIdData. */
export interface NativeMessageId {
  serialize(): Buffer;
}

export interface NativeMessage {
  /** An array with names for indexes: `length` is lost. */
  getProperties(): object;
  getData(): Buffer;
  getMessageId(): NativeMessageId;
  /** Milliseconds since 1970. */
  getPublishTimestamp(): number;
  /** Milliseconds since 1970, 0 = none. */
  getEventTimestamp(): number;
  /** Empty = none; base64 is not told from text. */
  getPartitionKey(): string;
  getOrderingKey(): string;
  /** The cluster that Pulsar itself has brought it from, empty = none. */
  getReplicatedFrom(): string;
}

export interface NativeProducerMessage {
  readonly data: Buffer;
  readonly properties: Readonly<Record<string, string>>;
  readonly eventTimestamp?: number;
  readonly sequenceId?: number;
  readonly partitionKey?: string;
  readonly orderingKey?: string;
}

export interface NativeProducer {
  /** Sent in the order of the calls, answered in that order. */
  send(message: NativeProducerMessage): Promise<NativeMessageId>;
  isConnected(): boolean;
  close(): Promise<unknown>;
}

export interface NativeConsumer {
  /** Without a time limit: with one it would take a thread of the process for that long. */
  receive(): Promise<NativeMessage>;
  acknowledgeCumulativeId(id: NativeMessageId): Promise<unknown>;
  seek(id: NativeMessageId): Promise<unknown>;
  isConnected(): boolean;
  close(): Promise<unknown>;
}

/** `readNext` is left out: where it fails, the binding frees memory that it never had. Messages come to the listener. */
export interface NativeReader {
  /** Asks the broker, and blocks the process until it answers. */
  hasNext(): boolean;
  close(): Promise<unknown>;
}

export type LoadModule = () => Promise<unknown>;

const PACKAGE: string = 'pulsar-client';

/** In a variable, so that nothing looks for the package before it is wanted. */
export const loadFromNpm: LoadModule = () => import(PACKAGE);

/** Loads the official client. Rejects with CONFIG_INVALID and what to do when it is not there or does not work here. */
export async function loadPulsarModule(load: LoadModule): Promise<PulsarModule> {
  let loaded: unknown;
  try {
    loaded = await load();
  } catch (error) {
    throw new IsthmusError(
      'CONFIG_INVALID',
      `loading the official Pulsar client for driver: native: ${firstLine(error)}. Run "npm install pulsar-client", which downloads a binary for this platform from archive.apache.org, or leave the driver out: driver: wire needs nothing`,
      { cause: error },
    );
  }
  const module = field(loaded, 'default') ?? loaded;
  if (!isPulsarModule(module))
    throw new IsthmusError('CONFIG_INVALID', 'loading the official Pulsar client: the package pulsar-client is another than 1.x');
  return module;
}

function isPulsarModule(module: unknown): module is PulsarModule {
  return ['Client', 'MessageId', 'AuthenticationToken', 'AuthenticationTls'].every(
    (name) => typeof field(module, name) === 'function',
  );
}

function field(value: unknown, name: string): unknown {
  return (typeof value === 'object' && value !== null) || typeof value === 'function' ? Reflect.get(value, name) : undefined;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
