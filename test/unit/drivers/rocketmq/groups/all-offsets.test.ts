import { describe, expect, it } from 'vitest';
import { readAllOffsets } from '../../../../../src/drivers/rocketmq/wire/all-offsets.ts';
import type { Command } from '../../../../../src/drivers/rocketmq/wire/command.ts';

function answer(body: string): Command {
  return { code: 0, opaque: 1, flag: 1, remark: '', fields: new Map(), body: Buffer.from(body) } as unknown as Command;
}

describe("an answer with all groups' offsets", () => {
  it('tells them by topic, group and queue, and who has pulled', () => {
    // As a 5.5.0 broker writes it: numbers as keys.
    const body =
      '{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":1},"groupTopicMap":{},"offsetTable":{"orders@app":{0:12,1:0},"%RETRY%app_orders@app":{0:3}},"pullOffsetTable":{"orders@app":{0:14}}}';
    expect(readAllOffsets(answer(body))).toEqual([
      {
        topic: 'orders',
        group: 'app',
        offsets: new Map([
          [0, 12],
          [1, 0],
        ]),
        pulls: true,
      },
      { topic: '%RETRY%app_orders', group: 'app', offsets: new Map([[0, 3]]), pulls: false },
    ]);
  });

  it('may lack the table of pulls, as of older brokers', () => {
    expect(readAllOffsets(answer('{"offsetTable":{"t@g":{0:1}}}'))).toMatchObject([{ topic: 't', group: 'g', pulls: false }]);
  });

  it('is empty where nobody has consumed', () => {
    expect(readAllOffsets(answer('{"offsetTable":{}}'))).toEqual([]);
    expect(readAllOffsets(answer('{}'))).toEqual([]);
  });

  it('leaves out what is no offset: a number that nobody can count to would become another one', () => {
    expect(readAllOffsets(answer('{"offsetTable":{"t@g":{0:9007199254740993,1:null,2:5},"nobody":{0:1},"t@h":3}}'))).toEqual([
      { topic: 't', group: 'g', offsets: new Map([[2, 5]]), pulls: false },
    ]);
  });

  it('is refused when it is cut short', () => {
    expect(() => readAllOffsets(answer('{"offsetTable":{"t@g":{0:'))).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }),
    );
  });
});
