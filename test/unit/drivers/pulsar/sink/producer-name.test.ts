import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSenderOf, otherSenderName, producerName } from '../../../../../src/drivers/pulsar/sink/producer-name.ts';

const part = fc.string({ unit: fc.constantFrom('a', 'b', '/', '%', '~', '2', 'F'), minLength: 1, maxLength: 8 });
const writer = fc.record({ link: part, sourceCluster: part, lane: fc.record({ topic: part, lane: part }) });

describe('a producer name', () => {
  it('is readable', () => {
    const name = producerName({ link: 'east-west', sourceCluster: 'rmq-east', lane: { topic: 'orders', lane: 'broker-a:3' } });
    expect(name).toBe('isthmus/east-west/rmq-east/orders/broker-a:3');
  });

  it('is never shared by two lanes', () => {
    const distinct = fc.property(
      writer,
      writer,
      (a, b) => JSON.stringify(a) === JSON.stringify(b) || producerName(a) !== producerName(b),
    );
    expect(fc.check(distinct, { numRuns: 5000 })).toMatchObject({ failed: false });
  });

  it('is bounded, and still distinct, for long names', () => {
    const named = (lane: string): string =>
      producerName({ link: 'l', sourceCluster: 'c', lane: { topic: 't'.repeat(250), lane } });
    expect(named('a').length).toBeLessThanOrEqual(200);
    expect(named('a')).not.toBe(named('b'));
  });

  it('and its other names are known as one writer’s, and nobody else’s', () => {
    fc.assert(
      fc.property(writer, writer, fc.double({ min: 0, max: 0.999, noNaN: true }), (a, b, random) => {
        const name = producerName(a);
        const other = otherSenderName(
          otherSenderName(name, () => 0.5),
          () => random,
        );
        expect(isSenderOf(name, name)).toBe(true);
        expect(isSenderOf(name, other)).toBe(true);
        expect(isSenderOf(producerName(b), other)).toBe(producerName(b) === name);
      }),
    );
  });
});
