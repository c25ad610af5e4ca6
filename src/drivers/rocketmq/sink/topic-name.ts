import { isSystemTopic } from '../system-topics.ts';

const NAME = /^[%|a-zA-Z0-9_-]+$/;
const MAX_LENGTH = 127;

/** Why RocketMQ would refuse the name (TopicValidator), `undefined` when it is fine. */
export function topicNameProblem(topic: string): string | undefined {
  if (topic === '') return 'it is empty';
  if (!NAME.test(topic)) return `"${topic}" holds other characters than letters, digits, "%", "|", "_" and "-"`;
  if (topic.length > MAX_LENGTH) return `it has ${topic.length} characters, RocketMQ takes ${MAX_LENGTH}`;
  if (isSystemTopic(topic)) return `"${topic}" is a name that RocketMQ uses itself`;
  return undefined;
}
