/** The verdict for people: figures first, then where to look next. */
import { type Comparison, isFaultless } from './compare.ts';
import { count, table } from './format.ts';
import { clusterOf, type Flow, links, otherThan, type Plan } from './plan.ts';

export type FlowOutcome = { readonly flow: Flow; readonly comparison: Comparison };

export type Outage = {
  /** Orders mirrored, both ways, when the replicator was killed. */
  readonly killedAt: number;
  readonly downSeconds: number;
  /** From the new start until everything produced so far was mirrored. */
  readonly catchUpSeconds: number;
  /** Messages found on the targets beyond the last checkpoints. */
  readonly found: number;
};

export type Ending = {
  readonly flows: readonly FlowOutcome[];
  readonly outage: Outage;
  readonly seconds: number;
};

/** `goesOn`: brokers and replicator still run and can be looked at. */
export function verdictLines(ending: Ending, plan: Plan, goesOn: boolean): readonly string[] {
  const { flows, outage } = ending;
  const faultless = flows.every(({ comparison }) => isFaultless(comparison));
  const examples = flows.flatMap(({ flow, comparison }) => comparison.examples.map((example) => `  ${flow.name}: ${example}`));
  const delays = flows.slice(0, 2).map(({ flow, comparison }) => {
    const { medianDelayMillis, longestDelayMillis } = comparison;
    return `  ${flow.name}: on the way for ${duration(medianDelayMillis)} (median), at most ${duration(longestDelayMillis)}: through the outage`;
  });
  const head = faultless
    ? 'PASS: both ways nothing lost, doubled or sent back, every key in order, all content as sent, through a SIGKILL in the middle'
    : 'FAIL: the two sides differ';
  return [
    '',
    `Verdict after ${ending.seconds.toFixed(0)} s`,
    '',
    indent(figures(flows)),
    '',
    `  killed at about ${count(outage.killedAt)} orders, away for ${outage.downSeconds} s, caught up ${outage.catchUpSeconds.toFixed(1)} s after its new start,`,
    `  with ${count(outage.found)} messages found on the targets and not written again`,
    ...delays,
    ...(examples.length > 0 ? ['', ...examples] : []),
    '',
    head,
    '',
    ...(goesOn ? whereToLook(plan) : afterwards(plan, faultless)),
  ];
}

function figures(flows: readonly FlowOutcome[]): string {
  const heading = ['', 'written on', 'messages', 'mirrored', 'lost', 'doubled', 'reordered', 'changed', 'looped', 'unknown'];
  const rows = flows.map(({ flow, comparison }) => {
    const { source, target, lost, doubled, reordered, changed, looped, strangers } = comparison;
    const numbers = [source, target, lost, doubled, reordered, changed, looped, strangers].map(count);
    return [`${flow.mirror} to ${clusterOf[otherThan(flow.writer)]}`, clusterOf[flow.writer], ...numbers];
  });
  return table([heading, ...rows]);
}

function whereToLook({ apiUrl, configFile, logFile, ordersEast }: Plan): readonly string[] {
  return [
    'Everything runs on, with a few messages a second, until Ctrl+C. Where to look next:',
    `  ${apiUrl}/v1/mirrors          mirrors, their state and lag`,
    `  ${apiUrl}/v1/mirrors/${links.east}/${ordersEast.mirror}/lanes   each queue: positions, lag, gaps, last error`,
    `  ${apiUrl}/metrics             for Prometheus`,
    `  ${apiUrl}/openapi.json        the whole API`,
    `  npx isthmus mirrors -c ${configFile}`,
    `  npx isthmus lanes ${links.east}/${ordersEast.mirror} -c ${configFile}`,
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
