/** The verdict for people: figures first, then where to look next. */
import { type Comparison, isFaultless } from './compare.ts';
import { count, table } from './format.ts';
import { type DemoTopic, link, type Plan } from './plan.ts';

export type TopicOutcome = { readonly topic: DemoTopic; readonly comparison: Comparison };

export type Outage = {
  /** Orders mirrored when the replicator was killed. */
  readonly killedAt: number;
  readonly downSeconds: number;
  /** From the new start until everything produced so far was mirrored. */
  readonly catchUpSeconds: number;
  /** Messages found on the target beyond the last checkpoint. */
  readonly found: number;
};

export type Ending = {
  readonly topics: readonly TopicOutcome[];
  readonly outage: Outage;
  readonly seconds: number;
};

/** `goesOn`: brokers and replicator still run and can be looked at. */
export function verdictLines(ending: Ending, plan: Plan, goesOn: boolean): readonly string[] {
  const { topics, outage } = ending;
  const orders = topics[0]?.comparison ?? { medianDelayMillis: 0, longestDelayMillis: 0 };
  const faultless = topics.every(({ comparison }) => isFaultless(comparison));
  const examples = topics.flatMap(({ topic, comparison }) =>
    comparison.examples.map((example) => `  ${topic.source}: ${example}`),
  );
  const head = faultless
    ? 'PASS: nothing lost, nothing doubled, every key in order, all content as sent, through a SIGKILL in the middle'
    : 'FAIL: the two sides differ';
  return [
    '',
    `Verdict after ${ending.seconds.toFixed(0)} s`,
    '',
    indent(figures(topics)),
    '',
    `  killed at about ${count(outage.killedAt)} orders, away for ${outage.downSeconds} s, caught up ${outage.catchUpSeconds.toFixed(1)} s after its new start,`,
    `  with ${count(outage.found)} messages found on Pulsar and not written again`,
    `  lag now 0; an order was on its way for ${duration(orders.medianDelayMillis)} (median), at most ${duration(orders.longestDelayMillis)}: through the outage`,
    ...(examples.length > 0 ? ['', ...examples] : []),
    '',
    head,
    '',
    ...(goesOn ? whereToLook(plan) : afterwards(plan, faultless)),
  ];
}

function figures(topics: readonly TopicOutcome[]): string {
  const heading = ['', 'RocketMQ', 'Pulsar', 'lost', 'doubled', 'reordered', 'changed', 'unknown'];
  const rows = topics.map(({ topic, comparison }) => {
    const { source, target, lost, doubled, reordered, changed, strangers } = comparison;
    return [topic.source, ...[source, target, lost, doubled, reordered, changed, strangers].map(count)];
  });
  return table([heading, ...rows]);
}

function whereToLook({ apiUrl, configFile, logFile, orders }: Plan): readonly string[] {
  return [
    'Everything runs on, with a few messages a second, until Ctrl+C. Where to look next:',
    `  ${apiUrl}/v1/mirrors          mirrors, their state and lag`,
    `  ${apiUrl}/v1/mirrors/${link}/${orders.mirror}/lanes   each queue: positions, lag, gaps, last error`,
    `  ${apiUrl}/metrics             for Prometheus`,
    `  ${apiUrl}/openapi.json        the whole API`,
    `  npx isthmus mirrors -c ${configFile}`,
    `  npx isthmus lanes ${link}/${orders.mirror} -c ${configFile}`,
    '  npm run brokers -- status',
    `  ${logFile}`,
  ];
}

function afterwards({ configFile, logFile }: Plan, faultless: boolean): readonly string[] {
  const kept = faultless ? [] : ['  The topics were kept: npm run brokers -- up brings the clusters back.'];
  return [
    'Where to look next:',
    '  npm run demo                  the same, and it goes on until Ctrl+C, to look at its API',
    `  ${configFile}, ${logFile}`,
    '  README.md, docs/GUARANTEES.md, docs/OPERATING.md',
    ...kept,
  ];
}

function duration(millis: number): string {
  return millis < 1_000 ? `${millis} ms` : `${(millis / 1000).toFixed(1)} s`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
