import { faultMatrix } from '../../kit/fault-matrix.ts';
import { faults } from '../../kit/faults.ts';
import { ways } from '../../kit/scene.ts';

faultMatrix(ways.pulsarToPulsar, faults, [false, true], { messages: 20_000, rate: 2_000 });
