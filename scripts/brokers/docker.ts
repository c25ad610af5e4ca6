/**
 * The bed as containers of the official images, for machines with a Docker engine and without Java, Maven or Redis.
 *
 * The ports on the host are the same as those of local processes. A RocketMQ cluster is one container for the namesrv and one
 * for each broker, which lives in the network of the namesrv's container: so the addresses in the configuration are the same too.
 */
import type { ContainerRuntimeClient } from 'testcontainers';
import { pulsarVersion, rocketmqVersion } from './artifacts.ts';
import { BrokersError, type Report } from './errors.ts';
import { type Check, namesrvCheck, serverCheck, untilReady } from './probe.ts';
import type { Provider, ServerStatus } from './provider.ts';
import { pulsarFiles, pulsarJvmEnv, standaloneArgs, standaloneProperties } from './pulsar.ts';
import { redisArgs } from './redis.ts';
import { brokerArgs, brokerJvm, brokerMain, namesrvArgs, namesrvJvm, namesrvMain, rocketmqFiles } from './rocketmq.ts';
import {
  type Endpoints,
  endpointsOf,
  listenedPorts,
  type RocketmqEndpoints,
  type ServerName,
  serverNames,
  withNamesrvOwners,
} from './table.ts';

type ContainerSpec = {
  /** Unique on the engine; also the value of the label by which the container is found again. */
  readonly label: string;
  readonly image: string;
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
  /** Label of the container whose network this one shares. */
  readonly networkOf: string | undefined;
  readonly check: Check;
};

type Container = ReturnType<ContainerRuntimeClient['container']['getById']>;

const labelName = 'io.isthmus.brokers';
/** Where a server keeps its files in its container. */
const home = '/var/isthmus';
const stopLimitSeconds = 20;
const logLines = 200;
const everywhere = '0.0.0.0';

export type DockerOptions = { readonly offset: number; readonly report: Report };

/** Containers keep their data from `stop` to `up`; `down` removes them and their data. */
export function dockerProvider(options: DockerOptions): Provider {
  const specsOf = (name: ServerName): readonly ContainerSpec[] => containersOf(endpointsOf(name, options.offset), options.offset);
  const serverContainer = async (name: ServerName): Promise<Container> => {
    const spec = specsOf(name).at(-1);
    const container = spec === undefined ? undefined : await find(await engine(), spec);
    if (container === undefined) throw new BrokersError(`${name} does not run`);
    return container;
  };
  return {
    up: async (names) => {
      const client = await engine();
      const started: ServerName[] = [];
      // A broker needs the namesrv's container before it can be made.
      for (const name of withNamesrvOwners(names)) {
        let any = false;
        for (const spec of specsOf(name)) any = (await ensureRunning(client, spec, options.report)) || any;
        if (any) started.push(name);
      }
      return started;
    },
    down: async (names) => {
      const client = await engine();
      return (await Promise.all(names.map(async (name) => await remove(client, name, specsOf(name))))).flat();
    },
    status: async (names) => {
      const client = await engine();
      return await Promise.all(names.map(async (name) => await statusOf(client, name, specsOf(name))));
    },
    logs: async (name) => await lastWords(await serverContainer(name)),
    kill: async (name) => void (await (await serverContainer(name)).kill({ signal: 'SIGKILL' })),
    crash: async (name) => {
      const client = await engine();
      const containers = await Promise.all(specsOf(name).map(async (spec) => await find(client, spec)));
      await Promise.all(containers.map(async (container) => await container?.kill({ signal: 'SIGKILL' })));
    },
    stop: async (name) => void (await (await serverContainer(name)).stop({ t: stopLimitSeconds })),
    pause: async (name) => void (await (await serverContainer(name)).pause()),
    resume: async (name) => void (await (await serverContainer(name)).unpause()),
  };
}

async function engine(): Promise<ContainerRuntimeClient> {
  // Loaded only when asked for: the package is large, and most people run local processes.
  const { getContainerRuntimeClient } = await import('testcontainers');
  try {
    return await getContainerRuntimeClient();
  } catch (error) {
    throw new BrokersError(
      `ISTHMUS_BROKERS=docker asks for containers, but no Docker engine answers (${error instanceof Error ? error.message : String(error)}).\n` +
        'Start one ("docker info" must work for this user; DOCKER_HOST is honoured), or unset ISTHMUS_BROKERS to run local processes.',
      2,
    );
  }
}

/** Finds the container of a spec in whatever state it is. */
async function find(client: ContainerRuntimeClient, spec: ContainerSpec): Promise<Container | undefined> {
  return await client.container.fetchByLabel(labelName, spec.label, { status: ['created', 'running', 'paused', 'exited'] });
}

/** Starts the container unless it runs, and waits until it serves. True if it had to be started. */
async function ensureRunning(client: ContainerRuntimeClient, spec: ContainerSpec, report: Report): Promise<boolean> {
  const found = await find(client, spec);
  const ran = found !== undefined && (await found.inspect()).State.Running;
  const container = found ?? (await create(client, spec, report));
  if (found !== undefined && !ran) await found.start();
  report(ran ? `${spec.label} runs already` : `${spec.label} started`);
  await untilReady(spec.label, spec.check, async () => {
    const { State } = await container.inspect();
    return State.Running ? undefined : await lastWords(container);
  });
  return !ran;
}

async function create(client: ContainerRuntimeClient, spec: ContainerSpec, report: Report): Promise<Container> {
  const { GenericContainer, Wait } = await import('testcontainers');
  report(`${spec.label}: image ${spec.image} (pulled first if it is not on this machine)`);
  const plan = new GenericContainer(spec.image)
    .withLabels({ [labelName]: spec.label })
    .withEntrypoint([...spec.entrypoint])
    .withEnvironment(spec.env)
    // The images' own users may not write to `home`.
    .withUser('root')
    .withExposedPorts(...spec.ports.map((port) => ({ container: port, host: port })))
    .withCopyContentToContainer(Object.entries(spec.files).map(([path, content]) => ({ content, target: `${home}/${path}` })))
    // These outlive the command that starts them, so Testcontainers must not clean up behind it.
    .withAutoCleanup(false)
    // What is ready is decided by our own checks, from outside.
    .withWaitStrategy(Wait.forAll([]));
  if (spec.networkOf !== undefined) {
    const other = await client.container.fetchByLabel(labelName, spec.networkOf, { status: ['running'] });
    if (other === undefined) throw new BrokersError(`${spec.networkOf} has to run before ${spec.label}`);
    plan.withNetworkMode(`container:${other.id}`);
  }
  const started = await plan.start();
  return client.container.getById(started.getId());
}

async function remove(
  client: ContainerRuntimeClient,
  name: ServerName,
  specs: readonly ContainerSpec[],
): Promise<readonly ServerName[]> {
  let any = false;
  for (const spec of specs.toReversed()) {
    const container = await find(client, spec);
    if (container === undefined) continue;
    any = true;
    const { State } = await container.inspect();
    if (State.Paused) await container.unpause();
    if (State.Running) await container.stop({ t: stopLimitSeconds });
    await container.remove({ v: true, force: true });
  }
  return any ? [name] : [];
}

async function statusOf(
  client: ContainerRuntimeClient,
  name: ServerName,
  specs: readonly ContainerSpec[],
): Promise<ServerStatus> {
  const states = await Promise.all(
    specs.map(async (spec) => {
      const container = await find(client, spec);
      if (container === undefined || !(await container.inspect()).State.Running) return 'stopped';
      return (await spec.check.probe()) === undefined ? 'ready' : 'not-ready';
    }),
  );
  const state = states.find((one) => one !== 'ready') ?? 'ready';
  return { name, state, pid: undefined, residentBytes: undefined };
}

async function lastWords(container: Container): Promise<string> {
  const log = await container.logs({ stdout: true, stderr: true, tail: logLines, follow: false });
  // The engine puts an 8 byte header of control characters before each piece of output.
  return log.toString('utf8').replaceAll(/[\u0000-\u0008\u000e-\u001f]/g, '');
}

function containersOf(endpoints: Endpoints, offset: number): readonly ContainerSpec[] {
  const label = `${endpoints.name}@${offset}`;
  const common = { label, files: {}, env: {}, ports: listenedPorts(endpoints), networkOf: undefined };
  switch (endpoints.kind) {
    case 'rocketmq':
      return rocketmqContainers(endpoints, offset);
    case 'pulsar': {
      const prefixed = Object.entries(standaloneProperties(endpoints, home, everywhere)).map(([key, value]) => [
        `PULSAR_PREFIX_${key}`,
        value,
      ]);
      const start = `exec bin/pulsar ${standaloneArgs(endpoints, home).join(' ')}`;
      return [
        {
          ...common,
          image: `apachepulsar/pulsar:${pulsarVersion}`,
          entrypoint: ['sh', '-c', `bin/apply-config-from-env.py conf/standalone.conf && ${start}`],
          env: { ...pulsarJvmEnv, ...Object.fromEntries(prefixed) },
          files: pulsarFiles(endpoints),
          check: serverCheck(endpoints),
        },
      ];
    }
    case 'redis':
      // Its port is published to this machine alone or not at all as the engine is set up; it holds nothing but test data.
      return [
        {
          ...common,
          image: 'redis:7',
          entrypoint: ['redis-server', ...redisArgs(endpoints, everywhere), '--protected-mode', 'no'],
          check: serverCheck(endpoints),
        },
      ];
  }
}

function rocketmqContainers(endpoints: RocketmqEndpoints, offset: number): readonly ContainerSpec[] {
  const namesrvLabel = `${endpoints.cluster}-namesrv@${offset}`;
  const java = (jvm: readonly string[], main: string, args: readonly string[]): readonly string[] => [
    'sh',
    '-c',
    `exec java ${jvm.join(' ')} -cp "$ROCKETMQ_HOME/lib/*" ${main} ${args.join(' ')}`,
  ];
  const common = {
    image: `apache/rocketmq:${rocketmqVersion}`,
    env: {},
    files: rocketmqFiles(endpoints, home, everywhere),
  };
  const broker: ContainerSpec = {
    ...common,
    label: `${endpoints.name}@${offset}`,
    entrypoint: java(brokerJvm(home), brokerMain, brokerArgs(home, endpoints)),
    ports: [],
    networkOf: namesrvLabel,
    check: serverCheck(endpoints),
  };
  if (!endpoints.ownsNamesrv) return [broker];
  const namesrv: ContainerSpec = {
    ...common,
    label: namesrvLabel,
    entrypoint: java(namesrvJvm(home), namesrvMain, namesrvArgs(home)),
    // Ports can only be published by the container that owns the network.
    ports: portsOfCluster(endpoints.cluster, offset),
    networkOf: undefined,
    check: namesrvCheck(endpoints),
  };
  return [namesrv, broker];
}

function portsOfCluster(cluster: string, offset: number): readonly number[] {
  const members = serverNames
    .map((name) => endpointsOf(name, offset))
    .filter((one) => one.kind === 'rocketmq' && one.cluster === cluster);
  return [...new Set(members.flatMap(listenedPorts))];
}
