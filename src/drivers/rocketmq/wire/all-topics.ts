import { RequestCode, ResponseCode } from './codes.ts';
import type { Command, Request } from './command.ts';

/** `"topicName"` is the only member of this name; names hold nothing that JSON would escape. */
const TOPIC_NAME = /"topicName":"([^"\\]+)"/g;

/** 21 GET_ALL_TOPIC_CONFIG: every topic of a broker, retry topics of groups among them, in one answer. */
export function getAllTopics(): Request {
  return { code: RequestCode.GET_ALL_TOPIC_CONFIG, fields: [] };
}

/** The names of the broker's own topics; `undefined` where it does not say all of them. Not parsed: with thousands of topics that would cost more than all else that is read of groups. */
export function readAllTopics(answer: Command): ReadonlySet<string> | undefined {
  if (answer.code !== ResponseCode.SUCCESS) return undefined;
  const names = new Set<string>();
  for (const [, name] of answer.body.toString('utf8').matchAll(TOPIC_NAME)) if (name !== undefined) names.add(name);
  // Since 5.4 an answer may be a part, and says how many there are.
  return names.size < Number(answer.fields['totalTopicNum'] ?? 0) ? undefined : names;
}
