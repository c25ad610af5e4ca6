import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { mapIn, numberIn, parseJsonObject } from './lenient-json.ts';

/** 351 GET_TOPIC_CONFIG, to a broker. */
export function getTopicConfig(topic: string): Request {
  return { code: RequestCode.GET_TOPIC_CONFIG, fields: [['topic', topic]] };
}

/** The permission (4 read, 2 write) and the attributes of the topic, such as `message.type` and `cleanup.policy`. */
export function readTopicSettings(answer: Command): Record<string, string> {
  const config = parseJsonObject(answer.body);
  const settings: Record<string, string> = { perm: String(numberIn(config, 'perm', 0)) };
  for (const [name, value] of mapIn(config, 'attributes')) {
    if (typeof name === 'string' && typeof value === 'string') settings[name] = value;
  }
  return settings;
}

/** 17 UPDATE_AND_CREATE_TOPIC, to each master; idempotent. `attributes` as in `+message.type=FIFO`; those that are not named stay as they are. */
export function putTopicConfig(topic: string, readQueues: number, writeQueues: number, perm: number, attributes = ''): Request {
  return {
    code: RequestCode.UPDATE_AND_CREATE_TOPIC,
    fields: [
      ['topic', topic],
      ['defaultTopic', 'TBW102'],
      ['readQueueNums', String(readQueues)],
      ['writeQueueNums', String(writeQueues)],
      ['perm', String(perm)],
      ['topicFilterType', 'SINGLE_TAG'],
      ['topicSysFlag', '0'],
      ['order', 'false'],
      ...(attributes === '' ? [] : [['attributes', attributes] as const]),
    ],
  };
}
