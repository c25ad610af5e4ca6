import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryPosition, offsetPosition } from '../../../src/model/position.ts';
import { formatProvenance, hasPassed, type Provenance, parseProvenance } from '../../../src/model/provenance.ts';

const name = fc.string({ minLength: 1, maxLength: 30, unit: 'binary' }).filter((text) => text.isWellFormed());
const position = fc.oneof(
  fc
    .bigInt(0n, 2n ** 52n)
    .map(Number)
    .map(offsetPosition),
  fc
    .tuple(fc.nat(), fc.nat(), fc.integer({ min: -1, max: 999 }))
    .map(([ledger, entry, index]) => entryPosition(ledger, entry, index)),
);
const provenance: fc.Arbitrary<Provenance> = fc.record({
  cluster: name,
  topic: name,
  lane: fc.oneof(fc.constant(''), name),
  runs: fc.array(fc.record({ first: position, count: fc.integer({ min: 1, max: 100_000 }) }), { minLength: 1, maxLength: 20 }),
  time: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  passed: fc.array(name, { maxLength: 4 }),
});
const GOOD = '1;east;orders;broker-a:3;125000+32,125040;mgabcdef;south>north';

describe('marks', () => {
  it('are the same after writing and reading them, whatever the names are', () => {
    fc.assert(
      fc.property(provenance, (mark) => {
        expect(parseProvenance(formatProvenance(mark))).toEqual(mark);
      }),
    );
  });

  it('are text that a property can hold: no control characters but those inside names beyond ASCII', () => {
    fc.assert(
      fc.property(provenance, (mark) => {
        expect(formatProvenance(mark)).not.toMatch(/[\u0000-\u0020\u007f]/);
      }),
    );
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, 1_760_000_000_000.25])(
    'can be read when the source says that a record is from %d',
    (time) => {
      const mark = { cluster: 'east', topic: 't', lane: '0', runs: [{ first: offsetPosition(1), count: 1 }], time, passed: [] };
      expect(parseProvenance(formatProvenance(mark))).toMatchObject({ lane: '0', runs: mark.runs });
    },
  );

  it('read the documented form', () => {
    expect(parseProvenance(GOOD)).toEqual({
      cluster: 'east',
      topic: 'orders',
      lane: 'broker-a:3',
      runs: [
        { first: offsetPosition(125_000), count: 32 },
        { first: offsetPosition(125_040), count: 1 },
      ],
      time: Number.parseInt('mgabcdef', 36),
      passed: ['south', 'north'],
    });
  });

  it('have at most 160 bytes for usual names', () => {
    const mark = {
      cluster: 'rocketmq-frankfurt-production',
      topic: 'payments-authorisation-requests',
      lane: 'broker-a-frankfurt-01:15',
      runs: [{ first: offsetPosition(12_345_678_901), count: 1000 }],
      time: 1_760_000_000_000,
      passed: ['pulsar-paris', 'rocketmq-madrid'],
    };
    expect(formatProvenance(mark).length).toBeLessThanOrEqual(160);
  });

  it.each([
    '',
    '1',
    '2;east;orders;a:0;1;k',
    '1;;orders;a:0;1;k',
    '1;east;;a:0;1;k',
    '1;east;orders;a:0;;k',
    '1;east;orders;a:0;1;',
    '1;east;orders;a:0;1;k;x;y',
    '1;east;orders;a:0;x;k',
    '1;east;orders;a:0;1+;k',
    '1;east;orders;a:0;1+0;k',
    '1;east;orders;a:0;1+-5;k',
    '1;east;orders;a:0;1+1e3;k',
    '1;east;orders;a:0;1+0x10;k',
    '1;east;orders;a:0;1+ 5;k',
    '1;east;orders;a:0;1+99999999999999999;k',
    '1;east;orders;a:0;9007199254740991+9007199254740991;k',
    '1;east;orders;a:0;1,,2;k',
    '1;east;orders;a:0;1;k!',
    '1;east;orders;a:0;1;-k',
    '1;east;orders;a:0;1;zzzzzzzzzzzzzzzz',
  ])('refuse the damaged mark %j', (text) => expect(parseProvenance(text)).toBeUndefined());

  it('never throw, whatever is done to them', () => {
    const cut = fc.record({
      from: fc.nat(GOOD.length),
      to: fc.nat(GOOD.length),
      put: fc.string({ unit: 'binary', maxLength: 6 }),
    });
    fc.assert(
      fc.property(fc.array(cut, { maxLength: 4 }), (cuts) => {
        const text = cuts.reduce((all, { from, to, put }) => all.slice(0, from) + put + all.slice(to), GOOD);
        const mark = parseProvenance(text);
        // What is taken for a mark is one: it survives another writing and reading.
        expect(mark === undefined ? undefined : parseProvenance(formatProvenance(mark))).toEqual(mark);
      }),
      { numRuns: 1000 },
    );
  });

  it('end on texts of a megabyte', () => {
    for (const filler of [',', ';', '>', '+', '%', '1,', '1+1,', '%41']) {
      expect(parseProvenance(`1;east;orders;a:0;${filler.repeat(1_000_000 / filler.length)};k`)).toBeUndefined();
    }
  });

  it('know the clusters that a record has passed', () => {
    const mark = parseProvenance(GOOD);
    expect(['east', 'south', 'north', 'west'].map((cluster) => mark !== undefined && hasPassed(mark, cluster))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});
