const TOPIC_PLACEHOLDER = '{topic}';

/** Whether a topic name matches a glob: `*` stands for any run of characters, `?` for one; all else is literal. */
export function matchesGlob(glob: string, name: string): boolean {
  const pattern = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^${pattern}$`, 'su').test(name);
}

/** Whether a mirror takes a topic: one of `include` matches and none of `exclude`. */
export function takesTopic(rule: { readonly topics: readonly string[]; readonly exclude: readonly string[] }, topic: string): boolean {
  return rule.topics.some((glob) => matchesGlob(glob, topic)) && !rule.exclude.some((glob) => matchesGlob(glob, topic));
}

/** The target's name of a source topic: `{topic}` in the rename pattern stands for the source's name. */
export function renameTopic(pattern: string, topic: string): string {
  return pattern.replaceAll(TOPIC_PLACEHOLDER, topic);
}
