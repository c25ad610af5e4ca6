import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signRequest } from '../../../../src/drivers/rocketmq/wire/acl.ts';
import {
  type Command,
  decodeCommand,
  encodeBinary,
  encodeJson,
  FLAG_ANSWER,
  numberField,
} from '../../../../src/drivers/rocketmq/wire/command.ts';
import { getRoute } from '../../../../src/drivers/rocketmq/wire/get-route.ts';
import { refusalOf } from './kit.ts';

// Made by the official 5.5.0 jars (RemotingCommand.encode) for code 105, opaque 7, version 413, language OTHER.
const JSON_FRAME =
  '000000a10000009d7b22636f6465223a3130352c226578744669656c6473223a7b22746f706963223a225431222c226163636570745374616e646172644a736f6e4f6e6c79223a2274727565227d2c22666c6167223a302c226c616e6775616765223a224f54484552222c226f7061717565223a372c2273657269616c697a655479706543757272656e74525043223a224a534f4e222c2276657273696f6e223a3431337d';
const BINARY_FRAME =
  '0000004601000042006907019d0000000700000000000000000000002d0005746f70696300000002543100166163636570745374616e646172644a736f6e4f6e6c790000000474727565';

const withoutLength = (frame: Buffer): Buffer => frame.subarray(4);
const fieldName = fc.string({ minLength: 1, maxLength: 20 }).filter((name) => name !== '__proto__');

function binaryHeader(fields: Buffer, remark = Buffer.alloc(0), lengths: { remark?: number; fields?: number } = {}): Buffer {
  const header = Buffer.alloc(21 + remark.length);
  header.writeInt32BE(lengths.remark ?? remark.length, 13);
  remark.copy(header, 17);
  header.writeInt32BE(lengths.fields ?? fields.length, 17 + remark.length);
  const all = Buffer.concat([header, fields]);
  const mark = Buffer.alloc(4);
  mark.writeUInt32BE(0x1000000 + all.length);
  return Buffer.concat([mark, all]);
}

function jsonHeader(text: string): Buffer {
  const header = Buffer.from(text);
  const mark = Buffer.alloc(4);
  mark.writeUInt32BE(header.length);
  return Buffer.concat([mark, header]);
}

describe('a remoting frame', () => {
  it('has the bytes of the official client with a JSON header', () => {
    expect(encodeJson(getRoute('T1'), 7).toString('hex')).toBe(JSON_FRAME);
  });

  it('has the bytes of the official client with a binary header', () => {
    expect(encodeBinary(getRoute('T1'), 7).toString('hex')).toBe(BINARY_FRAME);
  });

  it.each([JSON_FRAME, BINARY_FRAME])('is read whichever header it has', (hex) => {
    const command = decodeCommand(withoutLength(Buffer.from(hex, 'hex')));
    expect(command).toMatchObject({
      code: 105,
      opaque: 7,
      flag: 0,
      version: 413,
      remark: '',
      fields: { topic: 'T1', acceptStandardJsonOnly: 'true' },
    });
    expect(command.body).toHaveLength(0);
  });

  it('comes back from either encoding as it was, with fields in any script and a body of any bytes', () => {
    const request = fc.record({
      code: fc.integer({ min: 0, max: 32_767 }),
      fields: fc.uniqueArray(fc.tuple(fieldName, fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' })), {
        selector: ([name]) => name,
        maxLength: 12,
      }),
      body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(request, fc.integer({ min: 1, max: 0x7fffffff }), (sent, opaque) => {
        for (const encode of [encodeJson, encodeBinary]) {
          const frame = encode(sent, opaque);
          expect(frame.readInt32BE(0)).toBe(frame.length - 4);
          const read = decodeCommand(withoutLength(frame));
          expect(read).toMatchObject({ code: sent.code, opaque });
          expect(read.fields).toEqual(Object.fromEntries(sent.fields));
          expect(read.body.equals(sent.body)).toBe(true);
        }
      }),
    );
  });

  it('keeps remark and bare numbers of an answer', () => {
    const command = decodeCommand(
      jsonHeader(
        '{"code":21,"flag":1,"language":"WHATEVER","opaque":3,"remark":"OFFSET_RESET","extFields":{"nextBeginOffset":5,"x":true,"y":null}}',
      ),
    );
    expect(command).toMatchObject({
      code: 21,
      flag: FLAG_ANSWER,
      remark: 'OFFSET_RESET',
      fields: { nextBeginOffset: '5', x: 'true' },
    });
    expect(numberField(command, 'nextBeginOffset')).toBe(5);
    expect(Object.keys(command.fields)).not.toContain('y');
  });

  it.each(['', 'twelve', '9007199254740993', '1.5'])('refuses "%s" as a number', (value) => {
    const answer: Command = { ...decodeCommand(jsonHeader('{}')), fields: { offset: value } };
    expect(() => numberField(answer, 'offset')).toThrow(/field offset/);
    expect(() => numberField(answer, 'absent')).toThrow(/field absent/);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a mark', Buffer.from([0, 0])],
    ['a header longer than the frame', Buffer.from([0, 0, 1, 0, 123])],
    ['an unknown header encoding', Buffer.from([9, 0, 0, 0])],
    ['a header that is no JSON', jsonHeader('{"code":')],
    ['a JSON header that is a list', jsonHeader('null')],
    ['a code that is a text', jsonHeader('{"code":"105"}')],
    ['JSON nested a million deep', jsonHeader('['.repeat(1_000_000))],
    ['a binary header that is too short', Buffer.from([1, 0, 0, 5, 0, 0, 0, 0, 0])],
    ['a remark longer than its header', binaryHeader(Buffer.alloc(0), Buffer.from('abc'), { remark: 1000 })],
    ['a negative remark length', binaryHeader(Buffer.alloc(0), Buffer.from('abc'), { remark: -1 })],
    ['fields longer than their header', binaryHeader(Buffer.alloc(0), Buffer.alloc(0), { fields: 1 << 30 })],
    ['a field name that is cut off', binaryHeader(Buffer.from([0, 200, 65]))],
    ['a field value that is cut off', binaryHeader(Buffer.from([0, 1, 65, 0, 0, 1, 0, 65]))],
  ])('with %s is a protocol violation', (_, bytes) => {
    expect(() => decodeCommand(bytes)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });

  it('of random bytes is read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (random, binary) => {
        const bytes = Buffer.from(random);
        // Half of them get past the mark, to where the lengths are.
        if (bytes.length >= 4) bytes.writeUInt32BE((binary ? 0x1000000 : 0) + Math.min(bytes.length - 4, 60), 0);
        expect([undefined, 'PROTOCOL_VIOLATION']).toContain(refusalOf(() => decodeCommand(bytes)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('cut at any byte is refused or is another whole frame', () => {
    for (const hex of [JSON_FRAME, BINARY_FRAME]) {
      const frame = withoutLength(Buffer.from(hex, 'hex'));
      for (let end = 0; end < frame.length; end++) {
        expect(() => decodeCommand(frame.subarray(0, end))).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
      }
    }
  });
});

describe('a signed request', () => {
  const credentials = { accessKey: 'AK', secretKey: 'SK123456', securityToken: undefined };

  it('has the signature of the official client', () => {
    const { fields } = signRequest({ code: 105, fields: [['topic', 'T1']], body: Buffer.from('body') }, credentials);
    expect(Object.fromEntries(fields)).toEqual({ topic: 'T1', AccessKey: 'AK', Signature: 'AG4kyj/mAETqLdeJSnp+0gVK2zM=' });
  });

  it('signs the values in the order of the names, whatever order they came in', () => {
    const a = signRequest(
      {
        code: 1,
        fields: [
          ['b', '2'],
          ['a', '1'],
          ['é', '3'],
        ],
      },
      credentials,
    ).fields.at(-1);
    const b = signRequest(
      {
        code: 1,
        fields: [
          ['é', '3'],
          ['a', '1'],
          ['b', '2'],
        ],
      },
      credentials,
    ).fields.at(-1);
    expect(a).toEqual(b);
  });

  it('carries and signs a security token', () => {
    const { fields } = signRequest({ code: 1, fields: [] }, { ...credentials, securityToken: 'ST' });
    expect(fields.map(([name]) => name)).toEqual(['AccessKey', 'SecurityToken', 'Signature']);
    expect(fields.at(-1)).not.toEqual(signRequest({ code: 1, fields: [] }, credentials).fields.at(-1));
  });

  it('does not show its secret', () => {
    expect(JSON.stringify(signRequest({ code: 1, fields: [] }, credentials))).not.toContain('SK123456');
  });
});
