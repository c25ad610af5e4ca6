import { toIsthmusError } from '../../../errors.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { WriterOptions } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { registerSchema } from '../net/schemas.ts';
import type { PulsarDeps } from '../options.ts';
import { partitionName } from '../topic-name.ts';

/** Earlier versions that are registered first. A topic with more has a history that nobody can read any more. */
const MAX_EARLIER = 1000;
const NOTHING = Buffer.alloc(0);
const VERSION_BYTES = 8;

/** The target's version of a schema (empty for none), or why the target does not take it. */
export type KnownSchema = { readonly version: Buffer } | { readonly refused: string };

const NO_SCHEMA: KnownSchema = { version: NOTHING };

/**
 * Which version in the target's registry stands for one in the source's. Unknown ones are asked for while the writer says that it is full.
 *
 * Versions are registered in the source's order, also those of which no record comes: what a registry takes depends on what it has, and a newer schema that is there first
 * may keep an older one out.
 */
export class SchemaMap {
  readonly #options: WriterOptions;
  readonly #pool: BrokerPool;
  readonly #deps: PulsarDeps;
  readonly #known = new Map<string, KnownSchema>();
  readonly #abort = new AbortController();
  #lastVersion: Buffer = NOTHING;
  #last: KnownSchema = NO_SCHEMA;
  #asking: Promise<void> | undefined;

  constructor(options: WriterOptions, pool: BrokerPool, deps: PulsarDeps) {
    this.#options = options;
    this.#pool = pool;
    this.#deps = deps;
  }

  /** That of record `i`. */
  of(batch: RecordBatch, i: number): KnownSchema | 'unknown' {
    const start = batch.schemaStart[i] ?? -1;
    return start < 0 ? NO_SCHEMA : this.ofVersion(batch.bytes.subarray(start, batch.schemaEnd[i]));
  }

  ofVersion(version: Buffer): KnownSchema | 'unknown' {
    if (version.length === 0 || this.#options.schemas === undefined) return NO_SCHEMA;
    if (version.equals(this.#lastVersion)) return this.#last;
    const known = this.#known.get(nameOf(version));
    if (known === undefined) {
      const wanted = Buffer.from(version);
      this.#asking ??= this.#ask(wanted).finally(() => {
        this.#asking = undefined;
      });
      return 'unknown';
    }
    this.#lastVersion = Buffer.from(version);
    this.#last = known;
    return known;
  }

  /** Whether an answer is waited for. */
  get isAsking(): boolean {
    return this.#asking !== undefined;
  }

  whenKnown(wake: () => void): void {
    void this.#asking?.then(wake);
  }

  close(): void {
    this.#abort.abort();
  }

  /** Tries until it is known or the writer ends. Never rejects. */
  async #ask(version: Buffer): Promise<void> {
    const backoff = new Backoff(100, 5_000, this.#deps.random);
    for (let tries = 0; !this.#abort.signal.aborted; tries++) {
      try {
        for (const earlier of versionsUpTo(version)) await this.#learn(earlier, earlier.equals(version));
        if (tries > 0) this.#options.onTrouble(undefined);
        return;
      } catch (caught) {
        const error = toIsthmusError(caught);
        this.#options.onTrouble(error);
        this.#deps.log.info('schema-waits', { topic: this.#options.topic, code: error.code, error: error.message });
        await this.#deps.clock.sleep(backoff.next(), this.#abort.signal);
      }
    }
  }

  /** Registers one version. Rejects with what time can heal. */
  async #learn(version: Buffer, needed: boolean): Promise<void> {
    const { topic, partition, schemas } = this.#options;
    const versionName = nameOf(version);
    if (this.#known.has(versionName) || schemas === undefined || this.#abort.signal.aborted) return;
    const fields = { topic, sourceVersion: versionName };
    const schema = await schemas.schemaOf(version);
    if (schema === undefined) {
      // Its readers at the source cannot have it either.
      if (needed) this.#deps.log.warn('schema-missing', fields);
      this.#known.set(versionName, NO_SCHEMA);
      return;
    }
    try {
      const name = partitionName(topic, partition, await this.#pool.partitions(topic));
      const ours = await registerSchema(this.#pool, name, schema);
      this.#known.set(versionName, { version: ours });
      this.#deps.log.info('schema-registered', { ...fields, targetVersion: nameOf(ours) });
    } catch (caught) {
      const error = toIsthmusError(caught);
      if (error.retryable) throw error;
      this.#known.set(versionName, { refused: error.message });
      this.#deps.log.warn('schema-refused', { ...fields, code: error.code, error: error.message });
    }
  }
}

function nameOf(version: Buffer): string {
  return version.toString('hex');
}

/** A version and those before it, oldest first: versions count from 0, as eight bytes. One that is no such number stands alone. */
function* versionsUpTo(version: Buffer): Generator<Buffer> {
  const number = version.length === VERSION_BYTES ? version.readBigInt64BE(0) : -1n;
  for (let each = number > MAX_EARLIER ? number - BigInt(MAX_EARLIER) : 0n; each < number; each++) {
    const earlier = Buffer.alloc(VERSION_BYTES);
    earlier.writeBigInt64BE(each, 0);
    yield earlier;
  }
  yield version;
}
