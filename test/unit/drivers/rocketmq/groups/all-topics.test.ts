import { describe, expect, it } from 'vitest';
import { readAllTopics } from '../../../../../src/drivers/rocketmq/wire/all-topics.ts';
import type { Command } from '../../../../../src/drivers/rocketmq/wire/command.ts';

function answer(body: string, fields: Record<string, string> = {}, code = 0): Command {
  return { code, opaque: 1, flag: 1, remark: '', fields, body: Buffer.from(body) } as unknown as Command;
}

// As a 5.5.0 broker writes it.
const body =
  '{"dataVersion":{"counter":302},"topicConfigTable":{"orders":{"attributes":{},"perm":6,"topicName":"orders","writeQueueNums":4},"%RETRY%app":{"attributes":{},"perm":6,"topicName":"%RETRY%app","writeQueueNums":1}},"topicQueueMappingDetailMap":{}}';

describe("an answer with all topics' settings", () => {
  it('tells their names, retry topics among them', () => {
    expect(readAllTopics(answer(body, { totalTopicNum: '2' }))).toEqual(new Set(['orders', '%RETRY%app']));
    // Older brokers do not say how many there are.
    expect(readAllTopics(answer(body))).toEqual(new Set(['orders', '%RETRY%app']));
  });

  it('says nothing where it is a part or a refusal: a retry topic that is taken for missing would hide messages that are not done', () => {
    expect(readAllTopics(answer(body, { totalTopicNum: '3' }))).toBeUndefined();
    expect(readAllTopics(answer('', {}, 16))).toBeUndefined();
  });
});
