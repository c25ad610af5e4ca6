/**
 * Real brokers for tests: the same servers as `npm run brokers`, on a port offset and with a data directory of their own.
 *
 * The global set-up of the test run starts what all files share and stops it at the end; a test file calls
 * {@link startBrokers} with the names it needs, and {@link Brokers.stop} stops a server when the last of the files and set-ups that
 * use it at the same time is done with it, unless it ran before all of them.
 */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseProvider } from '../../scripts/brokers/cli.ts';
import type { Report } from '../../scripts/brokers/errors.ts';
import { parseOffset, type ServerName } from '../../scripts/brokers/table.ts';
import { tenants } from './tenants.ts';

export { bedCertificate, bedToken } from '../../scripts/brokers/pulsar.ts';
export {
  isPulsarName,
  pulsarEndpoints,
  redisEndpoints,
  rocketmqEndpoints,
  type ServerName,
} from '../../scripts/brokers/table.ts';

/**
 * Offset of the tests' own brokers: `$ISTHMUS_PORT_OFFSET`, else one that leaves those of `npm run brokers` alone and has all ports below 32768, where Linux takes
 * none for outgoing connections: one of those on a broker's port, and the broker does not come back after a kill.
 */
export const testOffset: number = parseOffset(process.env['ISTHMUS_PORT_OFFSET'] || '-18300');

export type BrokersOptions = {
  readonly offset?: number;
  /** Default: a directory of the cache that belongs to the offset. */
  readonly dataDirectory?: string;
  /** Takes progress; the default writes it to standard error. */
  readonly report?: Report;
};

export type Brokers = {
  readonly offset: number;
  /** Stops those of the servers that nobody uses any more, but none that ran before; their data stays. */
  readonly stop: () => Promise<void>;
  /** SIGKILL for the server, as in a crash. Of a RocketMQ cluster only the broker dies, the namesrv lives on. */
  readonly kill: (name: ServerName) => Promise<void>;
  /** Ends the server in good order; a RocketMQ cluster keeps its namesrv. */
  readonly shutDown: (name: ServerName) => Promise<void>;
  /** Starts a server that was killed or shut down, on its old data, and resolves when it serves. */
  readonly start: (name: ServerName) => Promise<void>;
  /** Freezes the server: connections stay open and nothing answers until {@link Brokers.resume}. */
  readonly pause: (name: ServerName) => Promise<void>;
  readonly resume: (name: ServerName) => Promise<void>;
};

/** Makes sure that these servers run and serve. */
export async function startBrokers(names: readonly ServerName[], options: BrokersOptions = {}): Promise<Brokers> {
  const offset = options.offset ?? testOffset;
  const report = options.report ?? ((line) => void process.stderr.write(`brokers: ${line}\n`));
  const provider = chooseProvider({ offset, dataDirectory: options.dataDirectory, report });
  const shared = tenants<ServerName>(join(tmpdir(), `isthmus-brokers-${offset}`), randomUUID());
  await shared.enter(names);
  await shared.started(await provider.up(names));
  return {
    offset,
    stop: async () => {
      await shared.leave(names, async (unused) => await provider.down(unused, false));
    },
    kill: provider.kill,
    shutDown: provider.stop,
    start: async (name) => {
      await provider.up([name]);
    },
    pause: provider.pause,
    resume: provider.resume,
  };
}
