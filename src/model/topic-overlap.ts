import type { MirrorSpec } from './mirror-spec.ts';
import { matchesGlob, pulsarParts, renameTopic, takesTopic, targetTopicOf } from './topic-name.ts';

/** Which topics a mirror takes: globs, and globs of exceptions. */
export interface TopicRule {
  readonly topics: readonly string[];
  readonly exclude: readonly string[];
}

/**
 * More steps than this are not taken: the question is then left open. Rules that people write need some hundred; the
 * limit is for globs made to be hard (`*a?a?a?...`), whose automata grow exponentially.
 */
const MAX_STEPS = 500_000;

/** The automaton of one glob, run on all its paths at once: the set of places reached, ascending, as text for comparing. */
interface GlobStates {
  readonly glob: string;
  readonly places: readonly number[];
}

/** After a place behind or at a `*`, the place after the star is reached without reading a character. */
function closure(glob: string, places: Iterable<number>): number[] {
  const reached = new Set<number>();
  for (let place of places) {
    reached.add(place);
    while (glob[place] === '*') reached.add(++place);
  }
  return [...reached].toSorted((a, b) => a - b);
}

function begin(glob: string): GlobStates {
  return { glob, places: closure(glob, [0]) };
}

function step({ glob, places }: GlobStates, character: string): GlobStates {
  const next = places.flatMap((place) => {
    if (glob[place] === '*') return [place];
    return glob[place] === '?' || glob[place] === character ? [place + 1] : [];
  });
  return { glob, places: closure(glob, next) };
}

function accepts({ glob, places }: GlobStates): boolean {
  return places.at(-1) === glob.length;
}

interface Search {
  readonly wanted: readonly GlobStates[];
  readonly refused: readonly GlobStates[];
  readonly text: string;
}

function stateKey(search: Search): string {
  return [...search.wanted, ...search.refused].map((states) => states.places.join(',')).join(';');
}

/** All letters that the globs tell apart, plus one that stands for every other. */
function letters(globs: readonly string[], alphabet: string): string[] {
  const named = new Set(globs.flatMap((glob) => glob.split('')).filter((letter) => letter !== '*' && letter !== '?'));
  const other = alphabet.split('').find((letter) => !named.has(letter));
  return other === undefined ? [...named] : [...named, other];
}

function places(search: Search): number {
  return [...search.wanted, ...search.refused].reduce((sum, states) => sum + states.places.length, 0);
}

/** Steps that may still be taken. */
interface Budget {
  steps: number;
}

/** The shortest name that all `wanted` globs match and no `refused` glob does; breadth first over the product of their automata. */
function searchCommonName(
  wanted: readonly string[],
  refused: readonly string[],
  alphabet: string,
  budget: Budget,
): string | undefined {
  const choices = letters([...wanted, ...refused], alphabet);
  const first: Search = { wanted: wanted.map(begin), refused: refused.map(begin), text: '' };
  // Not the first one: the empty text is no name, and `*` is in the same state after any letter.
  const seen = new Set<string>();
  let front: Search[] = [first];
  while (front.length > 0) {
    const next: Search[] = [];
    for (const search of front) {
      if (search.text !== '' && search.wanted.every(accepts) && !search.refused.some(accepts)) return search.text;
      for (const letter of choices) {
        budget.steps -= places(search);
        if (budget.steps < 0) return undefined;
        const after: Search = {
          wanted: search.wanted.map((states) => step(states, letter)),
          refused: search.refused.map((states) => step(states, letter)),
          text: search.text + letter,
        };
        const key = stateKey(after);
        if (after.wanted.some((states) => states.places.length === 0) || seen.has(key)) continue;
        seen.add(key);
        next.push(after);
      }
    }
    front = next;
  }
  return undefined;
}

const ALPHABET = 'xyzabcdefghijklmnopqrstuvw0123456789';
/** Asking about two globs at all. */
const QUESTION_STEPS = 5;

const isPattern = (glob: string): boolean => /[*?]/.test(glob);

/** Whether what stands before the first wildcard, or behind the last one, already keeps two patterns apart. */
function endsDiffer(a: string, b: string): boolean {
  const [prefixA, prefixB] = [a.split(/[*?]/, 1)[0] ?? '', b.split(/[*?]/, 1)[0] ?? ''];
  const [suffixA, suffixB] = [a.split(/[*?]/).at(-1) ?? '', b.split(/[*?]/).at(-1) ?? ''];
  const prefixesFit = prefixA.startsWith(prefixB) || prefixB.startsWith(prefixA);
  return !prefixesFit || !(suffixA.endsWith(suffixB) || suffixB.endsWith(suffixA));
}

/** A name that all `wanted` globs match and no `refused` one does; `undefined` when there is none, or the budget is used up. */
function commonName(wanted: readonly string[], refused: readonly string[], alphabet: string, budget: Budget): string | undefined {
  budget.steps -= QUESTION_STEPS * wanted.length;
  if (budget.steps < 0) return undefined;
  const literal = wanted.find((glob) => !isPattern(glob));
  if (literal !== undefined) {
    const fits = wanted.every((glob) => matchesGlob(glob, literal)) && !refused.some((glob) => matchesGlob(glob, literal));
    return fits ? literal : undefined;
  }
  const globs = [...new Set(wanted)];
  if (globs.some((one, i) => globs.slice(i + 1).some((other) => endsDiffer(one, other)))) return undefined;
  return searchCommonName(globs, refused, alphabet, budget);
}

/**
 * A topic name that both rules take, `undefined` when there is none (or when the globs are too contrived to tell: see MAX_STEPS).
 *
 * The answer is exact for the rules that people write, so two mirrors of a link are known to be apart before any topic
 * exists, and not only when somebody creates the one that both match. `alphabet` gives the letters to try where the
 * globs name none.
 */
export function findTopicOverlap(a: TopicRule, b: TopicRule, alphabet: string = ALPHABET): string | undefined {
  const both = (name: string): boolean => takesTopic(a, name) && takesTopic(b, name);
  const literal = [...a.topics, ...b.topics].find((topic) => !isPattern(topic) && both(topic));
  if (literal !== undefined) return literal;
  const refused = [...new Set([...a.exclude, ...b.exclude])];
  const budget = { steps: MAX_STEPS };
  for (const one of new Set(a.topics.filter(isPattern))) {
    for (const other of new Set(b.topics.filter(isPattern))) {
      const name = commonName([one, other], refused, alphabet, budget);
      if (name !== undefined && both(name)) return name;
    }
  }
  return undefined;
}

/** A name of a topic that a rule takes, for each of its globs. */
export function exampleTopics({ topics, exclude }: TopicRule): string[] {
  const budget = { steps: MAX_STEPS };
  return topics.map((glob) => commonName([glob], exclude, ALPHABET, budget)).filter((name) => name !== undefined);
}

/** Which topics a mirror takes, and how it calls them. */
export type NameRule = Pick<MirrorSpec, 'topics' | 'exclude' | 'rename' | 'renames'>;

/** Names that a mirror may give: all `globs` match them, and none of `refused` does. */
interface TargetNames {
  /** Which of its rename rules gives them. */
  readonly rule: number;
  readonly globs: readonly string[];
  readonly refused: readonly string[];
}

/** What a rename pattern makes of the names that a glob matches, as a glob. */
function imageOf(pattern: string, glob: string): string {
  const wildcards = glob.match(/[*?]/g) ?? [];
  // A number beyond the wildcards of this glob belongs to the other one: it may be anything.
  const captures = Array.from({ length: 9 }, (_, i) => wildcards[i] ?? '*');
  return renameTopic(pattern, glob, captures);
}

/** What a rename pattern makes of names that are left out, where the new name tells whether the old one was among them. */
function refusedImages(pattern: string, glob: string, refused: readonly string[]): string[] {
  if (pattern.includes('{topic}')) return refused.map((each) => renameTopic(pattern, each));
  if (!pattern.includes('{name}')) return [];
  const own = pulsarParts(glob);
  if (own === undefined) return refused.map((each) => renameTopic(pattern, each));
  return refused.flatMap((each) => {
    const parts = pulsarParts(each);
    const told = (part: 'tenant' | 'namespace'): boolean =>
      pattern.includes(`{${part}}`) || (!isPattern(own[part]) && matchesGlob(parts?.[part] ?? '', own[part]));
    return parts !== undefined && told('tenant') && told('namespace') ? [renameTopic(pattern, each)] : [];
  });
}

function targetNames(names: NameRule): TargetNames[] {
  const { topics, exclude, rename, renames } = names;
  const rules = [...renames, { match: '*', to: rename }];
  const ofPatterns = rules.flatMap(({ match, to }, rule) => {
    const refused = [...exclude, ...renames.slice(0, rule).map((earlier) => earlier.match)];
    return topics.filter(isPattern).map((glob) => ({
      rule,
      // What a number stands for is known only of the rule's own glob.
      globs: match === '*' ? [imageOf(to, glob)] : [imageOf(to, match), ...(/\{\d\}/.test(to) ? [] : [imageOf(to, glob)])],
      refused: refusedImages(to, glob, refused),
    }));
  });
  const ofNames = topics
    .filter((topic) => !isPattern(topic) && takesTopic(names, topic))
    .map((topic) => ({
      rule: rules.findIndex(({ match }) => matchesGlob(match, topic)),
      globs: [targetTopicOf(names, topic)],
      refused: [],
    }));
  return [...ofPatterns, ...ofNames];
}

function sharedTarget(a: readonly TargetNames[], b: readonly TargetNames[], budget: Budget): string | undefined {
  for (const one of a) {
    for (const other of b) {
      const name = commonName([...one.globs, ...other.globs], [...one.refused, ...other.refused], ALPHABET, budget);
      if (name !== undefined) return name;
    }
  }
  return undefined;
}

/** How two mirrors of one link get in each other's way: both read a topic, or both write one. */
export interface Collision {
  readonly side: 'source' | 'target';
  /** A name of a topic for which it happens; it need not exist yet. */
  readonly topic: string;
}

/**
 * Whether two mirrors of one link could read the same topic (and store its records twice), or write the same target topic
 * from different ones (and mix their order).
 */
export function findCollision(a: NameRule, b: NameRule): Collision | undefined {
  const source = findTopicOverlap(a, b);
  if (source !== undefined) return { side: 'source', topic: source };
  const target = sharedTarget(targetNames(a), targetNames(b), { steps: MAX_STEPS });
  return target === undefined ? undefined : { side: 'target', topic: target };
}

/** A target name that two rename rules of one mirror could give to different topics. */
export function findOwnCollision(rule: NameRule): string | undefined {
  const names = targetNames(rule);
  const budget = { steps: MAX_STEPS };
  for (let i = 1; i <= rule.renames.length; i++) {
    const [earlier, own] = [names.filter((each) => each.rule < i), names.filter((each) => each.rule === i)];
    const name = sharedTarget(earlier, own, budget);
    if (name !== undefined) return name;
  }
  return undefined;
}
