import type { LinkSpec, MirrorSpec } from '../model/mirror-spec.ts';

/** The configuration as the rest of the house sees it: validated, defaults filled in, secrets resolved. */
export interface Config {
  readonly region: string;
  readonly http: HttpConfig;
  readonly state: StateConfig;
  readonly clusters: Readonly<Record<string, ClusterConfig>>;
  readonly links: readonly LinkConfig[];
  readonly limits: LimitsConfig;
  readonly provenance: ProvenanceConfig;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
}

export interface LinkConfig extends LinkSpec {
  readonly mirrors: readonly MirrorSpec[];
}

export interface HttpConfig {
  readonly host: string;
  readonly port: number;
  readonly tokens: readonly { readonly name: string; readonly token: string; readonly role: 'admin' | 'read' }[];
  /** Whether `/metrics` is readable without a token even though there are tokens. */
  readonly metrics: 'token' | 'open';
}

/** `prefix` begins every key in Redis, its separator included. */
export type StateConfig =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'redis'; readonly url: string; readonly prefix: string };

export interface ProvenanceConfig {
  /** Secrets that marks are sealed with, the one in use first; none = marks without a tag. */
  readonly secrets: readonly string[];
  /** Whether marks without a tag count, too, although there is a secret. */
  readonly acceptUnsealed: boolean;
}

export interface LimitsConfig {
  /** Bytes read ahead of the targets, over all lanes. Default 48 MiB. */
  readonly readAheadBytes: number;
  /** Bytes sent and not yet stored, over all lanes. Default 48 MiB. */
  readonly inFlightBytes: number;
}

export interface TlsConfig {
  /** PEM texts, read from their files. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
  readonly allowUntrusted: boolean;
}

export interface RocketmqClusterConfig {
  readonly type: 'rocketmq';
  readonly region: string;
  readonly namesrv: readonly string[];
  readonly auth:
    | { readonly accessKey: string; readonly secretKey: string; readonly securityToken: string | undefined }
    | undefined;
  readonly tls: TlsConfig | undefined;
  /** So long ago a POP group's place has to be to count, milliseconds. */
  readonly popWindowMillis: number;
}

/** A RocketMQ cluster that is reached only through its gRPC proxy. */
export interface RocketmqProxyConfig {
  readonly type: 'rocketmq';
  readonly driver: 'grpc';
  readonly region: string;
  /** `host:port` of each proxy. */
  readonly endpoints: readonly string[];
  readonly namespace: string;
  readonly auth: { readonly accessKey: string; readonly secretKey: string } | undefined;
  readonly tls: boolean;
}

export interface PulsarClusterConfig {
  readonly type: 'pulsar';
  readonly driver: 'wire' | 'native';
  readonly region: string;
  /** pulsar:// or pulsar+ssl://, several hosts separated by commas. */
  readonly serviceUrl: string;
  /** http:// or https://, without a slash at its end. */
  readonly adminUrl: string;
  readonly auth: PulsarAuth | undefined;
  readonly tls: TlsConfig | undefined;
  readonly listenerName: string | undefined;
}

/** A token from a file is read again whenever the broker asks for a fresh one. */
export type PulsarAuth =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-file'; readonly path: string }
  | { readonly kind: 'tls' };

export type ClusterConfig = RocketmqClusterConfig | RocketmqProxyConfig | PulsarClusterConfig;
