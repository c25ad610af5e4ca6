import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyedMarks } from '../../../src/lib/keyed-marks.ts';
import { parseProvenance, plainMarks } from '../../../src/model/provenance.ts';

const [OLD, NEW] = ['an-old-secret-0123456789', 'a-new-secret-0123456789'];
const MARK = '1;east;orders;broker-a:3;125000+32;mgabcdef';
const marks = keyedMarks({ secrets: [NEW], acceptUnsealed: false });
const sealed = marks.seal(MARK);

describe('marks with a secret', () => {
  it('are the mark with eleven characters behind it, the same on every machine', () => {
    // RFC 4231, test case 2; openssl says the same.
    expect(keyedMarks({ secrets: ['Jefe'], acceptUnsealed: false }).seal('what do ya want for nothing?')).toBe(
      'what do ya want for nothing?;!W9zBRr9gdU4',
    );
    expect(sealed).toMatch(/^1;east;orders;broker-a:3;125000\+32;mgabcdef;![\w-]{11}$/);
  });

  it('are read by who has the secret', () => {
    expect(marks.read(sealed)).toEqual(parseProvenance(MARK));
  });

  it('are none when any character was changed, left out or added', () => {
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.constantFrom('', '0', 'x', ';', '-', '!'), fc.boolean(), (at, by, instead) => {
        const forged = sealed.slice(0, at) + by + sealed.slice(at + (instead ? 1 : 0));
        fc.pre(forged !== sealed);
        expect(marks.read(forged)).toBeUndefined();
      }),
    );
  });

  it.each([
    ['written without the secret', MARK],
    ['sealed with another one', keyedMarks({ secrets: [OLD], acceptUnsealed: false }).seal(MARK)],
    ['cut', sealed.slice(0, -3)],
    ['with an empty tag', `${MARK};!`],
    ['with its tag under another name', sealed.replace('east', 'west')],
    ['with a way that it has not gone', sealed.replace(';!', ';west;!')],
    ['with two tags', sealed + sealed.slice(-13)],
    ['nothing', ''],
  ])('are none when they are %s', (_, text) => {
    expect(marks.read(text)).toBeUndefined();
  });

  it('of a former secret are read as long as it is in the list, and sealed with the first', () => {
    const both = keyedMarks({ secrets: [NEW, OLD], acceptUnsealed: false });
    expect(both.read(keyedMarks({ secrets: [OLD], acceptUnsealed: false }).seal(MARK))).toEqual(parseProvenance(MARK));
    expect(both.seal(MARK)).toBe(sealed);
  });

  it('do without a seal only where that is said, and a false one is none even there', () => {
    const beginning = keyedMarks({ secrets: [NEW], acceptUnsealed: true });
    expect(beginning.read(MARK)).toEqual(parseProvenance(MARK));
    expect(beginning.read(sealed.replace('east', 'west'))).toBeUndefined();
  });

  it('can be read without a secret, which says nothing of them', () => {
    expect(plainMarks.read(sealed)).toEqual(parseProvenance(MARK));
    expect(plainMarks.read(`${MARK};south;!${sealed.slice(-11)}`)).toMatchObject({ passed: ['south'] });
  });

  it('are plain ones when there is no secret', () => {
    expect(keyedMarks({ secrets: [], acceptUnsealed: false })).toBe(plainMarks);
  });
});
