/** What the demo does, in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Eyes } from '../../test/kit/eyes.ts';
import type { Program } from '../program/program.ts';
import { replicator } from '../program/replicator.ts';
import { type Api, connectApi } from './api.ts';
import { compareTopics, isFaultless } from './compare.ts';
import { count } from './format.ts';
import { type DemoTopic, link, type Plan, paymentsMirror } from './plan.ts';
import { type Producer, startProducer } from './producer.ts';
import { foundInTarget } from './recovered.ts';
import type { Screen } from './screen.ts';
import { type Outage, type TopicOutcome, verdictLines } from './verdict.ts';
import { startWatch, type Watch } from './watch.ts';

/** For so long the replicator stays dead, while messages go on arriving. */
const downMillis = 3_000;
/** Messages per second after the verdict, until Ctrl+C. */
const slowRate = 20;

export type Stage = {
  readonly plan: Plan;
  readonly eyes: Eyes;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  /** Ends after the verdict. */
  readonly once: boolean;
  /** Takes what has to be ended when the demo ends, however it ends; the last one taken is ended first. */
  readonly atEnd: (end: () => Promise<void>) => void;
};

type Play = Stage & { readonly api: Api; readonly process: Program; readonly watch: Watch };

/** Resolves to whether nothing was lost, doubled, reordered or changed. */
export async function play(stage: Stage): Promise<boolean> {
  // What went wrong is kept to be looked at.
  let keepTopics = true;
  stage.atEnd(async () => {
    if (!keepTopics) await deleteTopics(stage);
  });
  await createTopics(stage);
  const running = await startReplicator(stage);
  const { plan, screen, signal, watch } = running;

  screen.step(`Orders: ${count(plan.orders.count)} messages with keys, tags and properties, ${count(plan.orders.rate)} a second`);
  const orders = produce(running, plan.orders);
  const payments = produce(running, plan.payments);
  await orders.reached(plan.orders.count * 0.25, signal);
  await addPayments(running, payments);
  await orders.reached(plan.orders.count * 0.5, signal);
  const outage = await killAndRestart(running);
  await orders.reached(plan.orders.count, signal);
  await payments.reached(plan.payments.count, signal);
  await watch.untilCaughtUp(signal);
  if (stage.once) await watch.stop();

  const topics = await compareAll(running);
  const faultless = topics.every(({ comparison }) => isFaultless(comparison));
  const end = { topics, outage, seconds: screen.seconds() };
  screen.say(verdictLines(end, plan, !stage.once).join('\n'));
  keepTopics = !faultless;
  if (!stage.once) {
    for (const producer of [orders, payments]) producer.goOn(slowRate);
    await untilAborted(signal);
  }
  return faultless;
}

async function createTopics({ plan, eyes, screen }: Stage): Promise<void> {
  const topics = [plan.orders, plan.payments];
  screen.step(`Topics on rmq-east: ${topics.map((topic) => `${topic.source} (${topic.queues} queues)`).join(', ')}`);
  const source = eyes.rocketmq(plan.rocketmq.namesrv);
  for (const topic of topics) await source.createTopic(topic.source, { queues: topic.queues, messageType: 'FIFO' });
}

async function startReplicator(stage: Stage): Promise<Play> {
  const { plan, screen, signal } = stage;
  screen.step(`The replicator, as a process of its own: npx isthmus run -c ${plan.configFile}`);
  const process = replicator(plan);
  stage.atEnd(async () => {
    if (!(await process.stop())) screen.say(`The replicator did not end in time and was killed; its log is ${plan.logFile}`);
  });
  process.start();
  const api = connectApi(plan.apiUrl);
  await api.untilUp(process.assertRunning, signal);
  screen.say(detail(`process ${process.pid()}, API ${plan.apiUrl}, log ${plan.logFile}`));
  const watch = startWatch(screen, api, process);
  stage.atEnd(watch.stop);
  return { ...stage, api, process, watch };
}

function produce({ plan, eyes, watch, atEnd }: Play, topic: DemoTopic): Producer {
  const producer = startProducer(eyes.rocketmq(plan.rocketmq.namesrv), topic);
  atEnd(producer.stop);
  watch.add(topic, producer, topic === plan.orders);
  return producer;
}

async function addPayments({ plan, api, screen, watch }: Play, payments: Producer): Promise<void> {
  const mirror = paymentsMirror(plan);
  screen.step(`A second mirror, added over HTTP: POST ${plan.apiUrl}/v1/mirrors`);
  screen.say(detail(JSON.stringify({ link, ...mirror })));
  screen.say(
    detail(`${count(payments.sent())} payments wait for it; from ${plan.payments.queues} queues to 3 partitions, by key`),
  );
  await api.addMirror(link, mirror);
  watch.mirrors(plan.payments);
}

async function killAndRestart({ plan, process, api, screen, watch, signal }: Play): Promise<Outage> {
  const killedAt = watch.arrived(plan.orders);
  screen.step(`SIGKILL to the replicator (process ${process.pid()}) in the middle, at about ${count(killedAt)} mirrored orders`);
  await process.kill();
  await sleep(downMillis, undefined, { signal });
  process.start();
  const startedAgain = performance.now();
  await api.untilUp(process.assertRunning, signal);
  screen.say(detail(`started again after ${downMillis / 1000} s, as process ${process.pid()}`));
  await watch.untilCaughtUp(signal);
  const catchUpSeconds = (performance.now() - startedAgain) / 1000;
  screen.say(detail(`caught up ${catchUpSeconds.toFixed(1)} s later, while orders went on arriving`));
  const found = foundInTarget(plan.logFile);
  screen.say(detail(describeFound(found)));
  return { killedAt, downSeconds: downMillis / 1000, catchUpSeconds, found };
}

async function compareAll({ plan, eyes, screen }: Play): Promise<readonly TopicOutcome[]> {
  screen.step('The official Java clients read both clusters and compare them by id, order per key and content');
  const source = eyes.rocketmq(plan.rocketmq.namesrv);
  const target = eyes.pulsar(plan.pulsar);
  const outcomes: TopicOutcome[] = [];
  for (const topic of [plan.orders, plan.payments])
    outcomes.push({ topic, comparison: await compareTopics(source, target, topic) });
  return outcomes;
}

async function deleteTopics({ plan, eyes }: Stage): Promise<void> {
  for (const topic of [plan.orders, plan.payments]) {
    await eyes.pulsar(plan.pulsar).deleteTopic(topic.target);
    await eyes.rocketmq(plan.rocketmq.namesrv).deleteTopic(topic.source);
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function describeFound(found: number): string {
  if (found === 0) return 'its last checkpoint knew of all that was stored, so nothing was to be found on Pulsar';
  return `it found ${count(found)} messages on Pulsar that its last checkpoint did not know of, and did not write them again`;
}

function detail(text: string): string {
  return `             ${text}`;
}
