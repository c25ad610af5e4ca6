import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Wiring } from '../../../src/cli/options.ts';
import { runCli } from '../../../src/cli/run-cli.ts';
import type { TopicDescription } from '../../../src/model/lane.ts';
import { ALL_CAPABILITIES } from '../../../src/spi/capabilities.ts';
import type { Cluster, ClusterAdmin } from '../../../src/spi/cluster.ts';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const nothing: Wiring = {
  version: '1.2.3',
  run: () => Promise.resolve(0),
  checkState: () => Promise.resolve({ what: 'state', ok: true, detail: 'works' }),
  openClusters: () => ({ clusters: new Map(), close: () => Promise.resolve() }),
};

/** Runs the command line as a shell would, with what it touches held in memory. */
export async function cli(
  args: readonly string[],
  options: { environment?: Record<string, string>; input?: string; wiring?: Partial<Wiring> } = {},
): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    environment: options.environment ?? {},
    input: () => Promise.resolve(options.input ?? ''),
  };
  const code = await runCli(['node', 'isthmus', ...args], io, { ...nothing, ...options.wiring });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

export const CONFIG = (listen: string, token: string): string => `region: west
http: { listen: "${listen}", tokens: [{ name: ops, token: "${token}", role: admin }] }
clusters:
  rmq-east: { type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }
  pulsar-west: { type: pulsar, region: west, serviceUrl: "pulsar://127.0.0.1", adminUrl: "http://127.0.0.1:8080" }
links:
  east-west:
    from: rmq-east
    to: pulsar-west
    mirrors:
      orders: { topics: ["orders-*"] }
      audit: { topics: [audit] }
`;

export function writeConfig(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'isthmus-cli-')), 'isthmus.yaml');
  writeFileSync(file, text);
  return file;
}

/** A cluster that lists some topics and answers checks as told. */
export function fakeCluster(
  name: string,
  type: Cluster['type'],
  topics: readonly string[] | Error,
  check: ClusterAdmin['check'],
  refuses: (topic: string) => string | undefined = () => undefined,
  described: Readonly<Record<string, TopicDescription>> = {},
): Cluster {
  const unused = (): never => {
    throw new Error('a check must not do this');
  };
  return {
    name,
    type,
    capabilities: ALL_CAPABILITIES,
    admin: {
      check,
      listTopics: () => (topics instanceof Error ? Promise.reject(topics) : Promise.resolve([...topics])),
      describeTopic: (topic) => Promise.resolve(described[topic]),
      extents: unused,
      ensureTopic: unused,
    },
    source: undefined,
    sink:
      type === 'pulsar' || Object.keys(described).length > 0
        ? {
            takesWhole: unused,
            fences: true,
            setPartitions: unused,
            openWriter: unused,
            scan: unused,
            tail: unused,
            writeDeadLetter: unused,
            partitionOf: unused,
            refusesTopicName: refuses,
          }
        : undefined,
    close: () => Promise.resolve(),
  };
}
