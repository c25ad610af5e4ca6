import type { MarkCodec } from '../../model/provenance.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import type { TlsOptions } from '../../wire/connection.ts';
import type { Credentials } from './wire/acl.ts';

/** How to reach a RocketMQ cluster. */
export interface RocketmqOptions {
  /** `host:port` of each name server; they hold no shared state, so the next is asked when one fails. */
  readonly namesrv: readonly string[];
  readonly auth: Credentials | undefined;
  /** TLS is spoken on the same ports. */
  readonly tls: TlsOptions | undefined;
  /** Bounds what all writers of the cluster hold together until it is stored. */
  readonly inFlightBytes?: number | undefined;
  /**
   * For how long consumers of a POP group may have a message without acknowledging it (their invisible duration), milliseconds: so far back a group's place is believed. Default 60,000.
   */
  readonly popWindowMillis?: number | undefined;
}

/** What the driver is given instead of taking it from the process. */
export interface RocketmqDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Gives [0, 1). */
  readonly random: () => number;
  readonly marks: MarkCodec;
}
