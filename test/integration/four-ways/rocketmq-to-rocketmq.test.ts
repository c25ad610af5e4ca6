import { quickFaultMatrix } from '../../kit/fault-matrix.ts';
import { ways } from '../../kit/scene.ts';

quickFaultMatrix(ways.rocketmqToRocketmq);
