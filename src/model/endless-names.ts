import { takesTopic, targetTopicOf } from './topic-name.ts';
import { exampleTopics, type NameRule } from './topic-overlap.ts';

/** A mirror on its link, as far as names go. */
export interface NameFlow {
  readonly link: string;
  readonly mirror: string;
  readonly from: string;
  readonly to: string;
  readonly rule: NameRule;
}

/** Topics that would be made out of each other without end. */
export interface EndlessNames {
  /** The mirror that closes the circle. */
  readonly flow: NameFlow;
  /** The first names, each made out of the one before. */
  readonly names: readonly string[];
}

/** Further steps are not taken: rules that people write need some dozen. */
const MAX_STEPS = 5_000;
/** A name that comes through the same mirror again, longer each time, will go on doing so. */
const ROUNDS = 3;
const SHOWN = 4;

interface Step {
  readonly cluster: string;
  readonly name: string;
  readonly flow: NameFlow | undefined;
  readonly before: Step | undefined;
}

function wayTo(step: Step): Step[] {
  const way: Step[] = [];
  for (let each: Step | undefined = step; each !== undefined; each = each.before) way.unshift(each);
  return way;
}

/**
 * Mirrors over several links that feed each other: `*` as `{topic}-copy` there and back makes `orders-copy`, `orders-copy-copy` and so on. Marks keep records from
 * going round, but not topics from being made. Names that stay the same, or come back to what they were, are fine.
 */
export function findEndlessNames(flows: readonly NameFlow[]): EndlessNames | undefined {
  const seen = new Set<string>();
  const waiting: Step[] = flows.flatMap(({ from, rule }) =>
    exampleTopics(rule).map((name) => ({ cluster: from, name, flow: undefined, before: undefined })),
  );
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const step = waiting.pop();
    if (step === undefined) return undefined;
    const place = `${step.cluster} ${step.name}`;
    if (seen.has(place)) continue;
    seen.add(place);
    const way = wayTo(step);
    const rounds = way.filter((each) => each.flow !== undefined && each.flow === step.flow);
    const grows = rounds.every((each, i) => i === 0 || each.name.length > (rounds[i - 1]?.name.length ?? 0));
    if (step.flow !== undefined && rounds.length >= ROUNDS && grows)
      return { flow: step.flow, names: way.slice(0, SHOWN).map((each) => each.name) };
    for (const flow of flows) {
      if (flow.from !== step.cluster || !takesTopic(flow.rule, step.name)) continue;
      waiting.push({ cluster: flow.to, name: targetTopicOf(flow.rule, step.name), flow, before: step });
    }
  }
  return undefined;
}
