import { describe } from 'vitest';
import { faultMatrix } from '../kit/fault-matrix.ts';
import { quickFaults } from '../kit/faults.ts';
import { ways } from '../kit/scene.ts';

// A quick look at the matrix of faults, which `npm run test:faults` goes through as a whole.
describe.each(Object.values(ways))('from $name', (way) => {
  faultMatrix(way, quickFaults, [true], { messages: 6_000, rate: 1_500 });
});
