import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { mapIn, parseJsonObject } from './lenient-json.ts';

/** 351 GET_TOPIC_CONFIG, to a broker. */
export function getTopicConfig(topic: string): Request {
  return { code: RequestCode.GET_TOPIC_CONFIG, fields: [['topic', topic]] };
}

/** The attributes of the topic, such as `message.type` and `cleanup.policy`. */
export function readTopicAttributes(answer: Command): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [name, value] of mapIn(parseJsonObject(answer.body), 'attributes')) {
    if (typeof name === 'string' && typeof value === 'string') attributes[name] = value;
  }
  return attributes;
}

/** 17 UPDATE_AND_CREATE_TOPIC, to each master; idempotent. Attributes that are not named stay as they are. */
export function putTopicConfig(topic: string, readQueues: number, writeQueues: number, perm: number): Request {
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
    ],
  };
}
