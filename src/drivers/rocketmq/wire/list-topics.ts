import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { listIn, parseJsonObject } from './lenient-json.ts';

/** 206 GET_ALL_TOPIC_LIST_FROM_NAMESERVER; refused with code 1 where the name server has `enableAllTopicList=false`. */
export function listTopics(): Request {
  return { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, fields: [] };
}

/** All names, system topics and the names of clusters and brokers among them. */
export function readTopics(answer: Command): string[] {
  return listIn(parseJsonObject(answer.body), 'topicList').filter((name) => typeof name === 'string');
}
