import { describe } from 'vitest';
import { describeGroups } from './grouping.ts';
import { describeManaging } from './managing.ts';
import { describeMarks } from './marks.ts';
import { describePositions } from './positions.ts';
import { describeReads } from './reads.ts';
import { Shore } from './shore.ts';
import type { DriverUnderTest } from './under-test.ts';
import { describeWrites } from './writes.ts';

/** Every behaviour that the interfaces of a driver promise. What a driver does not offer has to be refused or said, instead. */
export function describeDriver(driver: DriverUnderTest): void {
  describe(`the driver ${driver.name}`, () => {
    const shore = new Shore(driver);
    describeManaging(shore);
    describeReads(shore);
    describePositions(shore);
    describeWrites(shore);
    describeMarks(shore);
    describeGroups(shore);
  });
}
