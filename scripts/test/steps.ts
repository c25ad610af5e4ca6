/** What a whole test run consists of, in order: the quick steps first. */

export type Part = 'check' | 'unit' | 'conformance' | 'simulation' | 'integration' | 'faults';

export type Step = {
  readonly part: Part;
  /** Runs an npm script that succeeds or fails as a whole, or the tests of vitest projects. */
  readonly run: { readonly script: string } | { readonly projects: readonly [string, ...string[]] };
  readonly what: string;
  /** Takes so long that it runs only when it is named. */
  readonly long?: boolean;
};

export const steps: readonly Step[] = [
  { part: 'check', run: { script: 'types' }, what: 'the compiler finds no wrong type' },
  { part: 'check', run: { script: 'lint' }, what: 'lint finds nothing' },
  { part: 'check', run: { script: 'format:check' }, what: 'everything is formatted' },
  { part: 'check', run: { script: 'unused' }, what: 'nothing is unused' },
  { part: 'check', run: { projects: ['tidy'] }, what: 'house rules over the whole tree' },
  { part: 'unit', run: { projects: ['unit'] }, what: 'functions and codecs, no server' },
  {
    part: 'conformance',
    run: { projects: ['conformance'] },
    what: 'one suite for all state stores, one for all drivers: on fake clusters',
  },
  { part: 'conformance', run: { projects: ['drivers'] }, what: 'the suite for drivers on real brokers' },
  { part: 'simulation', run: { projects: ['simulation'] }, what: 'the heart on a fake cluster with seeded faults' },
  { part: 'integration', run: { projects: ['integration', 'outages'] }, what: 'real brokers, killed and restarted' },
  {
    part: 'faults',
    run: { projects: ['faults'] },
    what: 'the whole matrix of faults in all four directions, about two hours',
    long: true,
  },
];

/** What runs when nothing is named. */
export const usualParts: readonly Part[] = [...new Set(steps.filter((step) => step.long !== true).map((step) => step.part))];

export const parts: readonly Part[] = [...new Set(steps.map((step) => step.part))];

export function isPart(text: string): text is Part {
  return parts.some((part) => part === text);
}
