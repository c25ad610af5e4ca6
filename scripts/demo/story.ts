/** What the demo does, in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Eyes } from '../../test/kit/eyes.ts';
import type { Program } from '../program/program.ts';
import { replicator } from '../program/replicator.ts';
import { type Api, connectApi } from './api.ts';
import { compareViews, isFaultless, readBoth } from './compare.ts';
import { count } from './format.ts';
import { type Flow, links, type Plan, paymentsMirror, type Region } from './plan.ts';
import { type Producer, startProducer } from './producer.ts';
import { foundInTarget } from './recovered.ts';
import type { Screen } from './screen.ts';
import { type SideOfDemo, sidesOf } from './sides.ts';
import { type FlowOutcome, type Outage, verdictLines } from './verdict.ts';
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

type Sides = Readonly<Record<Region, SideOfDemo>>;
type Play = Stage & { readonly api: Api; readonly process: Program; readonly watch: Watch; readonly sides: Sides };

/** Resolves to whether nothing was lost, doubled, reordered, changed or sent back. */
export async function play(stage: Stage): Promise<boolean> {
  // What went wrong is kept to be looked at.
  let keepTopics = true;
  const sides = sidesOf(stage.eyes, stage.plan);
  stage.atEnd(async () => {
    if (!keepTopics) await deleteTopics(stage.plan, sides);
  });
  await createTopics(stage, sides);
  const running = await startReplicator(stage, sides);
  const { plan, screen, signal, watch } = running;
  const { ordersEast, ordersWest, payments } = plan;

  screen.step(
    `Orders from both sides: ${count(ordersEast.count)} messages from the east and ${count(ordersWest.count)} from the west, ${count(ordersEast.rate)} a second each`,
  );
  const producers = {
    east: produce(running, ordersEast),
    west: produce(running, ordersWest),
    payments: produce(running, payments),
  };
  await producers.east.reached(ordersEast.count * 0.25, signal);
  await addPayments(running, producers.payments);
  await producers.east.reached(ordersEast.count * 0.5, signal);
  const outage = await killAndRestart(running);
  await producers.east.reached(ordersEast.count, signal);
  await producers.west.reached(ordersWest.count, signal);
  await producers.payments.reached(payments.count, signal);
  await watch.untilCaughtUp(signal);
  if (stage.once) await watch.stop();

  const flows = await compareAll(running);
  const faultless = flows.every(({ comparison }) => isFaultless(comparison));
  const end = { flows, outage, seconds: screen.seconds() };
  screen.say(verdictLines(end, plan, !stage.once).join('\n'));
  keepTopics = !faultless;
  if (!stage.once) {
    for (const producer of Object.values(producers)) producer.goOn(slowRate);
    await untilAborted(signal);
  }
  return faultless;
}

async function createTopics({ plan, screen }: Stage, sides: Sides): Promise<void> {
  const { ordersEast, payments } = plan;
  screen.step(
    `Topics: ${ordersEast.topic} on both clusters, under the same name (${ordersEast.lanes} queues, ${ordersEast.lanes} partitions); ${payments.topic} on rmq-east`,
  );
  for (const region of ['east', 'west'] as const) await sides[region].createTopic(ordersEast.topic, ordersEast.lanes);
  await sides.east.createTopic(payments.topic, payments.lanes);
}

async function startReplicator(stage: Stage, sides: Sides): Promise<Play> {
  const { plan, screen, signal } = stage;
  screen.step(`The replicator, as a process of its own, one link each way: npx isthmus run -c ${plan.configFile}`);
  const process = replicator(plan);
  stage.atEnd(async () => {
    if (!(await process.stop())) screen.say(`The replicator did not end in time and was killed; its log is ${plan.logFile}`);
  });
  process.start();
  const api = connectApi(plan.apiUrl);
  await api.untilUp(process.assertRunning, signal);
  screen.say(detail(`process ${process.pid()}, API ${plan.apiUrl}, log ${plan.logFile}`));
  const watch = startWatch(screen, api, process, sides);
  stage.atEnd(watch.stop);
  return { ...stage, api, process, watch, sides };
}

function produce({ plan, watch, sides, atEnd }: Play, flow: Flow): Producer {
  const producer = startProducer(sides[flow.writer], flow);
  atEnd(producer.stop);
  watch.add(flow, producer, flow !== plan.payments);
  return producer;
}

async function addPayments({ plan, api, screen, watch }: Play, payments: Producer): Promise<void> {
  const mirror = paymentsMirror(plan);
  screen.step(`One more mirror, added over HTTP: POST ${plan.apiUrl}/v1/mirrors`);
  screen.say(detail(JSON.stringify({ link: links.east, ...mirror })));
  screen.say(
    detail(`${count(payments.sent())} payments wait for it; from ${plan.payments.lanes} queues to 3 partitions, by key`),
  );
  await api.addMirror(links.east, mirror);
  watch.mirrors(plan.payments);
}

async function killAndRestart({ plan, process, api, screen, watch, signal }: Play): Promise<Outage> {
  const killedAt = watch.arrived(plan.ordersEast) + watch.arrived(plan.ordersWest);
  screen.step(`SIGKILL to the replicator (process ${process.pid()}) in the middle, at about ${count(killedAt)} mirrored orders`);
  await process.kill();
  await sleep(downMillis, undefined, { signal });
  process.start();
  const startedAgain = performance.now();
  await api.untilUp(process.assertRunning, signal);
  screen.say(detail(`started again after ${downMillis / 1000} s, as process ${process.pid()}`));
  await watch.untilCaughtUp(signal);
  const catchUpSeconds = (performance.now() - startedAgain) / 1000;
  screen.say(detail(`caught up ${catchUpSeconds.toFixed(1)} s later, while orders went on arriving on both sides`));
  const found = foundInTarget(plan.logFile);
  screen.say(detail(describeFound(found)));
  return { killedAt, downSeconds: downMillis / 1000, catchUpSeconds, found };
}

async function compareAll({ plan, sides, screen }: Play): Promise<readonly FlowOutcome[]> {
  screen.step('The official Java clients read both clusters and compare them by id, order per key and content');
  const { ordersEast, ordersWest, payments } = plan;
  const orders = await readBoth(sides, ordersEast.topic, ordersEast.count + ordersWest.count);
  const paid = await readBoth(sides, payments.topic, payments.count);
  return [
    { flow: ordersEast, comparison: compareViews('east', orders.east, orders.west) },
    { flow: ordersWest, comparison: compareViews('west', orders.west, orders.east) },
    { flow: payments, comparison: compareViews('east', paid.east, paid.west) },
  ];
}

async function deleteTopics({ ordersEast, payments }: Plan, sides: Sides): Promise<void> {
  for (const topic of [ordersEast.topic, payments.topic]) {
    await sides.west.deleteTopic(topic);
    await sides.east.deleteTopic(topic);
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function describeFound(found: number): string {
  if (found === 0) return 'its last checkpoints knew of all that was stored, so nothing was to be found on the targets';
  return `it found ${count(found)} messages on the targets that its last checkpoints did not know of, and did not write them again`;
}

function detail(text: string): string {
  return `             ${text}`;
}
