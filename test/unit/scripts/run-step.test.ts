import { describe, expect, it } from 'vitest';
import { countTests } from '../../../scripts/test/run-step.ts';
import { isPart, usualParts } from '../../../scripts/test/steps.ts';

describe('counting the tests of a run', () => {
  it.each([
    ['all passed', { numPassedTests: 3, numFailedTests: 0 }, 0, { passed: 3, failed: 0 }],
    ['one failed', { numPassedTests: 3, numFailedTests: 1 }, 1, { passed: 3, failed: 1 }],
    ['a file that does not load beside passed tests', { numPassedTests: 3, numFailedTests: 0 }, 1, { passed: 3, failed: 1 }],
    ['no test at all', { numPassedTests: 0, numFailedTests: 0 }, 0, { passed: 0, failed: 1 }],
    ['a run that was ended by a signal', { numPassedTests: 3, numFailedTests: 0 }, null, { passed: 3, failed: 1 }],
    ['a run that left no report', undefined, 1, { passed: 0, failed: 1 }],
    ['a report of another shape', { numPassedTests: '3' }, 0, { passed: 0, failed: 1 }],
  ])('%s', (_, report, code, expected) => {
    expect(countTests(report, code)).toEqual(expected);
  });

  it('runs the quick parts before those that need servers, and what takes an hour only when it is named', () => {
    expect(usualParts).toEqual(['check', 'unit', 'conformance', 'simulation', 'integration']);
    expect(isPart('unit')).toBe(true);
    expect(isPart('faults')).toBe(true);
    expect(isPart('types')).toBe(false);
  });
});
