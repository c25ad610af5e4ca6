/** What a whole test run consists of, in order: the quick steps first. */

export type Part = 'check' | 'unit' | 'conformance' | 'simulation' | 'integration' | 'faults';

export type Step = {
  readonly part: Part;
  /** Runs an npm script that succeeds or fails as a whole, or the tests of a vitest project. */
  readonly run: { readonly script: string } | { readonly project: string };
  readonly what: string;
  /** Takes so long that it runs only when it is named. */
  readonly long?: boolean;
};

export const steps: readonly Step[] = [
  { part: 'check', run: { script: 'types' }, what: 'the compiler finds no wrong type' },
  { part: 'check', run: { script: 'lint' }, what: 'lint finds nothing' },
  { part: 'check', run: { script: 'format:check' }, what: 'everything is formatted' },
  { part: 'check', run: { script: 'unused' }, what: 'nothing is unused' },
  { part: 'check', run: { project: 'tidy' }, what: 'house rules over the whole tree' },
  { part: 'unit', run: { project: 'unit' }, what: 'functions and codecs, no server' },
  {
    part: 'conformance',
    run: { project: 'conformance' },
    what: 'one suite for all state stores, one for all drivers: on fake clusters',
  },
  { part: 'conformance', run: { project: 'drivers' }, what: 'the suite for drivers on real brokers' },
  { part: 'simulation', run: { project: 'simulation' }, what: 'the heart on a fake cluster with seeded faults' },
  { part: 'integration', run: { project: 'integration' }, what: 'real brokers, killed and restarted' },
  {
    part: 'faults',
    run: { project: 'faults' },
    what: 'the whole matrix of faults in all four directions, more than an hour',
    long: true,
  },
];

/** What runs when nothing is named. */
export const usualParts: readonly Part[] = [...new Set(steps.filter((step) => step.long !== true).map((step) => step.part))];

export const parts: readonly Part[] = [...new Set(steps.map((step) => step.part))];

export function isPart(text: string): text is Part {
  return parts.some((part) => part === text);
}
