import { renameTopic, takesTopic } from './topic-name.ts';

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

/** The shortest name that all `wanted` globs match and no `refused` glob does; breadth first over the product of their automata. */
function shortestCommonName(
  wanted: readonly string[],
  refused: readonly string[],
  alphabet: string,
  budget: { steps: number },
): string | undefined {
  const choices = letters([...wanted, ...refused], alphabet);
  const first: Search = { wanted: wanted.map(begin), refused: refused.map(begin), text: '' };
  const seen = new Set([stateKey(first)]);
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

const isPattern = (glob: string): boolean => /[*?]/.test(glob);

/** Whether what stands before the first wildcard, or behind the last one, already keeps two patterns apart. */
function endsDiffer(a: string, b: string): boolean {
  const [prefixA, prefixB] = [a.split(/[*?]/, 1)[0] ?? '', b.split(/[*?]/, 1)[0] ?? ''];
  const [suffixA, suffixB] = [a.split(/[*?]/).at(-1) ?? '', b.split(/[*?]/).at(-1) ?? ''];
  const prefixesFit = prefixA.startsWith(prefixB) || prefixB.startsWith(prefixA);
  return !prefixesFit || !(suffixA.endsWith(suffixB) || suffixB.endsWith(suffixA));
}

/**
 * A topic name that both rules take, `undefined` when there is none (or when the globs are too contrived to tell: see MAX_STEPS).
 *
 * The answer is exact for the rules that people write, so two mirrors of a link are known to be apart before any topic
 * exists, and not only when somebody creates the one that both match. `alphabet` gives the letters to try where the
 * globs name none.
 */
export function findTopicOverlap(
  a: TopicRule,
  b: TopicRule,
  alphabet = 'xyzabcdefghijklmnopqrstuvw0123456789',
): string | undefined {
  const both = (name: string): boolean => takesTopic(a, name) && takesTopic(b, name);
  const literal = [...a.topics, ...b.topics].find((topic) => !isPattern(topic) && both(topic));
  if (literal !== undefined) return literal;
  const refused = [...new Set([...a.exclude, ...b.exclude])];
  const budget = { steps: MAX_STEPS };
  for (const one of new Set(a.topics.filter(isPattern))) {
    for (const other of new Set(b.topics.filter(isPattern))) {
      if (endsDiffer(one, other)) continue;
      const name = shortestCommonName([one, other], refused, alphabet, budget);
      if (name !== undefined && both(name)) return name;
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

/** The names that a rule's topics get, as a rule over target names. Exact while `{topic}` stands in `rename` at most once. */
function renamedRule(rule: TopicRule, rename: string): TopicRule {
  const nameAgain = (glob: string): string => renameTopic(rename, glob);
  return { topics: rule.topics.map(nameAgain), exclude: rename === nameAgain('') ? [] : rule.exclude.map(nameAgain) };
}

/**
 * Whether two mirrors of one link could read the same topic (and store its records twice), or write the same target topic
 * from different ones (and mix their order).
 */
export function findCollision(
  a: TopicRule & { readonly rename: string },
  b: TopicRule & { readonly rename: string },
): Collision | undefined {
  const source = findTopicOverlap(a, b);
  if (source !== undefined) return { side: 'source', topic: source };
  const target = findTopicOverlap(renamedRule(a, a.rename), renamedRule(b, b.rename));
  return target === undefined ? undefined : { side: 'target', topic: target };
}
