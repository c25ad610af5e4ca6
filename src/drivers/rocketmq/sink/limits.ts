import { toIsthmusError } from '../../../errors.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { Log } from '../../../spi/log.ts';
import type { Network } from '../network.ts';
import { accepted } from '../refusal.ts';
import { getBrokerConfig, readNumberSetting } from '../wire/broker-config.ts';

/** What RocketMQ brokers take unless they are told otherwise. */
const DEFAULT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const FRESH_MILLIS = 300_000;
/** What brokers say of their limit when they refuse a message (code 13), or a batch (code 1). */
const TOLD = /body length limit (\d+)B|maxMessageSize: (\d+)/;

/** How large messages may be, by broker; asked once and then remembered for five minutes. */
export class Limits {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #log: Log;
  /** What brokers have said when they refused something. */
  readonly #told = new Map<string, number>();
  readonly #known = new Map<string, { readonly askedAt: number; readonly bytes: Promise<number> }>();

  constructor(network: Network, clock: Clock, log: Log) {
    this.#network = network;
    this.#clock = clock;
    this.#log = log;
  }

  /** The broker's `maxMessageSize`, the usual one where it does not tell. Never rejects. */
  maxMessageBytes(address: string): Promise<number> {
    const now = this.#clock.monotonic();
    const known = this.#known.get(address);
    if (known !== undefined && now - known.askedAt < FRESH_MILLIS) return known.bytes;
    const bytes = this.#ask(address);
    this.#known.set(address, { askedAt: now, bytes });
    return bytes;
  }

  /** A broker has refused what is within its limit as we know it: it is asked again. What it says of the limit counts where its settings are not for us to read. */
  doubt(address: string, remark: string): void {
    const told = TOLD.exec(remark);
    if (told !== null) this.#told.set(address, Number(told[1] ?? told[2]));
    this.#known.delete(address);
  }

  async #ask(address: string): Promise<number> {
    try {
      const answer = accepted(await this.#network.call(address, getBrokerConfig()), `reading the settings of ${address}`);
      return readNumberSetting(answer, 'maxMessageSize') ?? this.#usual(address);
    } catch (error) {
      const { code, message } = toIsthmusError(error);
      this.#known.delete(address);
      // Settings are for administrators to read.
      this.#log.info('broker-limit-unknown', { address, code, message, taken: this.#usual(address) });
      return this.#usual(address);
    }
  }

  #usual(address: string): number {
    return this.#told.get(address) ?? DEFAULT_MAX_MESSAGE_BYTES;
  }
}
