import type { MirrorSpec } from './mirror-spec.ts';

/**
 * Whether a topic name matches a glob: `*` stands for any run of characters, `?` for one; all else is literal.
 * By hand and not as a regular expression: `*a*a*a*b` against a long name would go through all its ways for minutes.
 */
export function matchesGlob(glob: string, name: string): boolean {
  let [g, n, star, resume] = [0, 0, -1, 0];
  while (n < name.length) {
    if (glob[g] === '*') {
      star = g++;
      resume = n;
    } else if (glob[g] === '?' || glob[g] === name[n]) {
      g++;
      n++;
    } else if (star >= 0) {
      g = star + 1;
      n = ++resume;
    } else return false;
  }
  while (glob[g] === '*') g++;
  return g === glob.length;
}

/** Whether one of `include` matches a name and none of `exclude`. */
export function isIncluded(name: string, include: readonly string[], exclude: readonly string[]): boolean {
  return include.some((glob) => matchesGlob(glob, name)) && !exclude.some((glob) => matchesGlob(glob, name));
}

/** Whether a mirror takes a topic. */
export function takesTopic(
  { topics, exclude }: { readonly topics: readonly string[]; readonly exclude: readonly string[] },
  topic: string,
): boolean {
  return isIncluded(topic, topics, exclude);
}

/** What each wildcard of a glob has matched, in their order; `undefined` when the glob does not match. The earlier a `*` stands, the less it takes. */
export function globCaptures(glob: string, name: string): string[] | undefined {
  if (!matchesGlob(glob, name)) return undefined;
  const captures: string[] = [];
  let rest = name;
  for (let g = 0; g < glob.length; g++) {
    let taken = 1;
    if (glob[g] === '*') {
      const behind = glob.slice(g + 1);
      for (taken = 0; !matchesGlob(behind, rest.slice(taken)); taken++);
    }
    if (glob[g] === '*' || glob[g] === '?') captures.push(rest.slice(0, taken));
    rest = rest.slice(taken);
  }
  return captures;
}

/** `persistent://tenant/namespace/name`, or any text of that shape. */
const PULSAR_NAME = /^persistent:\/\/([^/]*)\/([^/]*)\/([^/]*)$/;

/** The parts of a Pulsar topic's full name; `undefined` for the name of a RocketMQ topic. */
export function pulsarParts(
  topic: string,
): { readonly tenant: string; readonly namespace: string; readonly name: string } | undefined {
  const [, tenant, namespace, name] = PULSAR_NAME.exec(topic) ?? [];
  return tenant === undefined || namespace === undefined || name === undefined ? undefined : { tenant, namespace, name };
}

/**
 * A name made of another: `{topic}` in the pattern stands for the source's name, `{name}` for it without tenant and namespace, `{tenant}` and `{namespace}` for these,
 * and a number for what a wildcard has matched.
 */
export function renameTopic(pattern: string, topic: string, captures: readonly string[] = [], target = ''): string {
  const { tenant = '', namespace = '', name = topic } = pulsarParts(topic) ?? {};
  const values = new Map(Object.entries({ topic, name, tenant, namespace, target }));
  // A function: in a text `$&` and its like would have a meaning. In one go: what a placeholder stands for may look like another one.
  return pattern.replace(/\{(\w+)\}/g, (whole, key: string) => values.get(key) ?? captures[Number(key) - 1] ?? whole);
}

type NameRules = Pick<MirrorSpec, 'rename' | 'renames' | 'deadLetterTopic'>;

/** The name that a mirror gives to a source topic. */
export function targetTopicOf(rules: Pick<NameRules, 'rename' | 'renames'>, topic: string): string {
  for (const { match, to } of rules.renames) {
    const captures = globCaptures(match, topic);
    if (captures !== undefined) return renameTopic(to, topic, captures);
  }
  return renameTopic(rules.rename, topic);
}

/** Where a mirror keeps the records of a source topic that the target refuses. */
export function deadLetterTopicOf(rules: NameRules, topic: string): string {
  return renameTopic(rules.deadLetterTopic, topic, [], targetTopicOf(rules, topic));
}
