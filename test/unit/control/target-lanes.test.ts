import { describe, expect, test } from 'vitest';
import { extendTargetLanes, partitionsByName } from '../../../src/control/target-lanes.ts';

describe('the partition numbers of a target', () => {
  test('stay when a broker goes away, and grow at the end when it comes back with more queues', () => {
    const both = extendTargetLanes([], ['a:0', 'a:1', 'b:0', 'b:1']);
    const oneAway = extendTargetLanes(both, ['b:0', 'b:1']);
    expect(oneAway).toEqual(['a:0', 'a:1', 'b:0', 'b:1']);
    expect(extendTargetLanes(oneAway, ['a:0', 'a:1', 'a:2', 'b:0', 'b:1', 'b:2'])).toEqual([
      'a:0',
      'a:1',
      'b:0',
      'b:1',
      'a:2',
      'b:2',
    ]);
  });

  test('are listed for keys as the target counts its lanes: by broker, then by number and not by its digits', () => {
    expect(partitionsByName(['b:0', 'a:10', 'a:2', 'b:1'])).toEqual([2, 1, 0, 3]);
    expect(partitionsByName(['0', '1', '10', '2'])).toEqual([0, 1, 3, 2]);
  });
});
