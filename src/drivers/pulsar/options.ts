import type { MarkCodec } from '../../model/provenance.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import type { TlsOptions } from '../../wire/connection.ts';

/** A token from a file is read again whenever the broker asks for a fresh one. */
export type PulsarAuthOptions =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-file'; readonly path: string }
  | { readonly kind: 'tls' };

/** How to reach a Pulsar cluster. */
export interface PulsarOptions {
  /** pulsar:// or pulsar+ssl://, several hosts separated by commas. */
  readonly serviceUrl: string;
  /** http:// or https:// of the admin REST. */
  readonly adminUrl: string;
  readonly auth: PulsarAuthOptions | undefined;
  /** For pulsar+ssl and https. */
  readonly tls: TlsOptions | undefined;
  /** Which of the brokers' advertised listeners to use. */
  readonly listenerName: string | undefined;
  /** Bytes held by batches that are open or not yet stored, over all writers of this cluster. */
  readonly inFlightBytes: number;
}

/** What the driver does not make itself. */
export interface PulsarDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1). */
  readonly random: () => number;
  readonly marks: MarkCodec;
}
