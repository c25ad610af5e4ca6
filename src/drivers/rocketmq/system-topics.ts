/** Topics that RocketMQ keeps for itself (TopicValidator, MixAll). */
const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  'TBW102',
  'SCHEDULE_TOPIC_XXXX',
  'BenchmarkTest',
  'TRANS_CHECK_MAX_TIME_TOPIC',
  'SELF_TEST_TOPIC',
  'OFFSET_MOVED_EVENT',
  'CHECKPOINT_TOPIC',
  'DefaultHeartBeatSyncerTopic',
]);
const SYSTEM_PREFIXES = ['RMQ_SYS_', 'rmq_sys_', '%RETRY%', '%DLQ%'] as const;

/** Whether RocketMQ keeps the name for itself, or for a consumer group, in every cluster. */
export function isSystemTopic(topic: string): boolean {
  return SYSTEM_TOPICS.has(topic) || SYSTEM_PREFIXES.some((prefix) => topic.startsWith(prefix));
}

/** Whether an application wrote this topic. Each cluster and broker has a topic of its own name as well. */
export function isApplicationTopic(topic: string, clusters: readonly string[], brokers: readonly string[]): boolean {
  if (isSystemTopic(topic)) return false;
  return !brokers.includes(topic) && !clusters.some((cluster) => topic === cluster || topic === `${cluster}_REPLY_TOPIC`);
}
