/** The faults of the matrix: each is let loose on a mirror that runs, and leaves everything running again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isPulsarName, pulsarEndpoints, type ServerName, testOffset } from './brokers.ts';
import type { ClusterEyes } from './cluster-eyes.ts';
import { eventually } from './mirror-under-test.ts';
import type { End, Scene, SceneOptions, Way } from './scene.ts';

export type Fault = {
  /** Completes "is exact after ...". */
  readonly name: string;
  /** Default: in every direction. */
  readonly in?: (way: Way) => boolean;
  readonly options?: Partial<Pick<SceneOptions, 'proxied' | 'state' | 'rules' | 'imports'>>;
  readonly run: (scene: Scene) => Promise<void>;
};

const ends: readonly End[] = ['source', 'target'];
const hourSteps = 3;

const isPulsar = (name: ServerName): boolean => name.startsWith('pulsar');

/** SIGKILLs at moments counted in messages, not in time, so that a faster or slower machine kills in the middle as well. */
function replicatorKilled(kills: number): Fault {
  return {
    name: `SIGKILLs of the replicator at seeded moments (${kills})`,
    run: async ({ mirror, messages, random, untilStored }) => {
      for (let kill = 0; kill < kills; kill++) {
        const moment = Math.floor(messages * (0.25 + (0.6 * (kill + random())) / kills));
        await untilStored(moment);
        await sleep(random() * 60);
        await mirror.process.kill();
        mirror.process.start();
      }
    },
  };
}

function brokerKilled(end: End): Fault {
  return {
    name: `a SIGKILL of the ${end}'s broker and its restart`,
    run: async ({ brokers, ends: clusters }) => {
      const { name } = clusters[end];
      await brokers.kill(name);
      await sleep(1_000);
      await brokers.start(name);
    },
  };
}

type Weather = { readonly name: string; readonly run: (scene: Scene) => Promise<void> };

const weathers: readonly Weather[] = [
  {
    name: 'delays',
    run: async ({ proxy }) => {
      proxy.delay(150);
      await sleep(2_000);
      proxy.delay(0);
    },
  },
  {
    name: 'cut connections',
    run: async ({ proxy, random }) => {
      for (let i = 0; i < 6; i++) {
        proxy.cut();
        await sleep(200 + random() * 600);
      }
    },
  },
  {
    name: 'connections that are closed on one side alone',
    run: async ({ proxy, random }) => {
      for (let i = 0; i < 3; i++) {
        proxy.halfClose('client');
        await sleep(300 + random() * 500);
        proxy.halfClose('server');
        await sleep(300 + random() * 500);
      }
      proxy.cut();
    },
  },
  {
    name: 'stalls of one way alone',
    run: async ({ proxy }) => {
      for (const side of ['server', 'client'] as const) {
        proxy.stall(side, true);
        await sleep(2_500);
        // The stalled bytes arrive late, or never.
        if (side === 'client') proxy.cut();
        proxy.stall(side, false);
        await sleep(500);
      }
    },
  },
  {
    name: 'answers that are lost after the deed',
    run: async ({ proxy, random }) => {
      for (let i = 0; i < 4; i++) {
        proxy.dropReplies();
        await sleep(200 + random() * 300);
        proxy.cut();
        await sleep(500 + random() * 500);
      }
    },
  },
];

function networkFault(end: End, weather: Weather): Fault {
  return { name: `${weather.name} between the replicator and its ${end}`, options: { proxied: end }, run: weather.run };
}

function topicUnloaded(end: End): Fault {
  return {
    name: `unloads of the topic at the ${end}`,
    in: (way) => isPulsar(end === 'source' ? way.from : way.to),
    run: async ({ ends: clusters, topic }) => {
      for (let i = 0; i < 4; i++) {
        await unload(clusters[end], topic);
        await sleep(700);
      }
    },
  };
}

async function unload(cluster: ClusterEyes, topic: string): Promise<void> {
  if (!isPulsarName(cluster.name)) throw new Error(`${cluster.name} has nothing to unload`);
  const { adminUrl } = pulsarEndpoints(cluster.name, testOffset);
  const answer = await fetch(`${adminUrl}/admin/v2/${cluster.full(topic).replace('://', '/')}/unload`, { method: 'PUT' });
  if (!answer.ok) throw new Error(`unload: ${answer.status} ${await answer.text()}`);
}

/** Some records were on their way when it began, and none may be stored later than what comes after them. */
const diskFull: Fault = {
  name: 'answers of the target that its disk is full',
  options: { proxied: 'target' },
  run: async ({ proxy }) => {
    for (let i = 0; i < 2; i++) {
      proxy.refuse(true);
      await sleep(2_500);
      proxy.refuse(false);
      await sleep(1_500);
    }
  },
};

const redisLost: Fault = {
  name: 'a Redis that was killed and came back empty, and a SIGKILL of the replicator after it',
  options: { state: 'redis' },
  run: async ({ brokers, mirror }) => {
    await brokers.kill('redis-east');
    await sleep(1_000);
    // The kit's Redis keeps nothing on disk.
    await brokers.start('redis-east');
    await eventually('the process has met the new state', async () => (await mirror.status()).stateAvailable, 30_000);
    await mirror.process.kill();
    mirror.process.start();
  },
};

const stateLost: Fault = {
  name: 'the loss of the whole state while it was down',
  run: async ({ mirror, flushRedis }) => {
    await mirror.process.kill();
    mirror.forgetState();
    await flushRedis();
    mirror.process.start();
  },
};

const clockStepped: Fault = {
  name: 'steps of its clock by hours, forward and back',
  options: { imports: [new URL('clock-step.ts', import.meta.url).href] },
  run: async ({ mirror }) => {
    for (let step = 0; step < hourSteps; step++) {
      const pid = mirror.process.pid();
      if (pid === undefined) throw new Error('the replicator does not run');
      process.kill(pid, 'SIGUSR2');
      await sleep(1_500);
    }
  },
};

const startedTwice: Fault = {
  name: 'a second process with the same links, which waits and says why, and takes over when the first one is killed',
  // A state file lets no second process begin.
  options: { state: 'redis' },
  run: async ({ mirror }) => {
    const twin = await mirror.twin();
    twin.process.start();
    try {
      await eventually('the second one waits and says why', async () => {
        const lanes = await twin.lanes();
        return lanes.length > 0 && lanes.every(({ state, trouble }) => state !== 'running' && (trouble?.message ?? '') !== '');
      });
      mirror.process.assertRunning();
      await mirror.process.kill();
      await eventually('the second one has taken over', async () => {
        const lanes = await twin.lanes();
        return lanes.length > 0 && lanes.every(({ state }) => state === 'running');
      });
    } finally {
      await twin.process.stop();
    }
    mirror.process.start();
  },
};

export const faults: readonly Fault[] = [
  replicatorKilled(3),
  ...ends.map(brokerKilled),
  ...ends.flatMap((end) => weathers.map((weather) => networkFault(end, weather))),
  ...ends.map(topicUnloaded),
  diskFull,
  redisLost,
  stateLost,
  clockStepped,
  startedTwice,
];

/** Two of them for a quick look. */
export const quickFaults: readonly Fault[] = [
  replicatorKilled(1),
  ...weathers.slice(-1).map((weather) => networkFault('target', weather)),
];
