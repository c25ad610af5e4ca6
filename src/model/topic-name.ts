const TOPIC_PLACEHOLDER = '{topic}';

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

/** Whether a mirror takes a topic: one of `include` matches and none of `exclude`. */
export function takesTopic(
  rule: { readonly topics: readonly string[]; readonly exclude: readonly string[] },
  topic: string,
): boolean {
  return rule.topics.some((glob) => matchesGlob(glob, topic)) && !rule.exclude.some((glob) => matchesGlob(glob, topic));
}

/** The target's name of a source topic: `{topic}` in the rename pattern stands for the source's name. */
export function renameTopic(pattern: string, topic: string): string {
  // A function: in a text `$&` and its like would have a meaning.
  return pattern.replaceAll(TOPIC_PLACEHOLDER, () => topic);
}
