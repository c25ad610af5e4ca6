import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Json,
  mapIn,
  numberIn,
  parseJsonObject,
  parseLenientJson,
} from '../../../../src/drivers/rocketmq/wire/lenient-json.ts';
import { refusalOf } from './kit.ts';

/** Standard JSON of a parsed value, where it has one. */
function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries(
    [...value].map(([key, member]) => [typeof key === 'string' ? key : JSON.stringify(plain(key)), plain(member)]),
  );
}

describe('lenient JSON', () => {
  // Bodies as the official 5.5.0 jars write them.
  it('reads objects as keys', () => {
    const body = parseLenientJson(
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:{"lastUpdateTimestamp":1,"maxOffset":5,"minOffset":0}},"topicPutTps":0.0}',
    );
    expect(plain(body)).toEqual({
      offsetTable: {
        '{"brokerName":"broker-a","queueId":0,"topic":"T1"}': { lastUpdateTimestamp: 1, maxOffset: 5, minOffset: 0 },
      },
      topicPutTps: 0,
    });
  });

  it('reads numbers as keys', () => {
    const body = parseLenientJson('{"brokerAddrs":{0:"127.0.0.1:10911",1:"127.0.0.1:10921"},"offsetTable":{"T1@G1":{0:12}}}');
    expect(plain(body)).toEqual({
      brokerAddrs: { 0: '127.0.0.1:10911', 1: '127.0.0.1:10921' },
      offsetTable: { 'T1@G1': { 0: 12 } },
    });
  });

  it('reads all that JSON.parse reads alike', () => {
    const json = fc.jsonValue({ stringUnit: 'binary' }).filter((value) => !JSON.stringify(value).includes('__proto__'));
    fc.assert(
      fc.property(json, fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(plain(parseLenientJson(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each(['', '{', '{"a"', '{"a":}', '{"a":1,}', '[1,', '[1 2]', '"abc', '"\\x"', 'nul', '{[1]:2}', '{} {}', '-', '{:1}'])(
    'refuses %s',
    (text) => {
      expect(() => parseLenientJson(text)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
    },
  );

  it('refuses to be nested without end', () => {
    for (const text of ['['.repeat(1_000_000), '{"a":'.repeat(100_000), '{'.repeat(100_000)]) {
      expect(() => parseLenientJson(text)).toThrow(/nested deeper/);
    }
  });

  it('reads long texts', () => {
    const long = 'x"\\'.repeat(1_000_000);
    expect(parseLenientJson(JSON.stringify(long))).toBe(long);
  });

  it('reads random text or refuses it, never anything else', () => {
    const noise = fc.stringMatching(/^[{}[\]",:0-9a-z\\ -]{0,60}$/);
    fc.assert(
      fc.property(noise, (text) => {
        expect([undefined, 'PROTOCOL_VIOLATION']).toContain(refusalOf(() => parseLenientJson(text)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes a missing or foreign member as empty', () => {
    const body = parseJsonObject(Buffer.from('{"a":"7","b":[],"c":"x","d":1e300}'));
    expect(mapIn(body, 'b').size).toBe(0);
    expect([numberIn(body, 'a', -1), numberIn(body, 'c', -1), numberIn(body, 'd', -1), numberIn(body, 'z', -1)]).toEqual([
      7, -1, -1, -1,
    ]);
    expect(() => parseJsonObject(Buffer.from('[]'))).toThrow(/not an object/);
  });
});
