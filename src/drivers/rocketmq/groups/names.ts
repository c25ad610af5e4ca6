const MAX_GROUP_NAME = 120;
const GROUP_NAME = /^[%|\w-]+$/;
/** Groups that brokers, proxies and tools have for themselves (MixAll, PopAckConstants), and that of our own looks. */
const SYSTEM_GROUPS: ReadonlySet<string> = new Set([
  'TOOLS_CONSUMER',
  'FILTERSRV_CONSUMER',
  '__MONITOR_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CLIENT_INNER_PRODUCER',
  'isthmus-look',
]);
const SYSTEM_PREFIXES = ['CID_RMQ_SYS_', 'CID_ONS', 'rmq_sys_'] as const;

export function isApplicationGroup(group: string): boolean {
  return !SYSTEM_GROUPS.has(group) && !SYSTEM_PREFIXES.some((prefix) => group.startsWith(prefix));
}

/** Topics in which messages wait that consumers of the group have failed on, or have not acknowledged in time: of push consumers, and both forms that POP has. */
export function retryTopics(group: string, topic: string): { readonly push: string; readonly pop: readonly string[] } {
  return { push: `%RETRY%${group}`, pop: [`%RETRY%${group}_${topic}`, `%RETRY%${group}+${topic}`] };
}

export function groupNameProblem(group: string): string | undefined {
  if (group === '' || group.length > MAX_GROUP_NAME) return `RocketMQ takes group names of 1 to ${MAX_GROUP_NAME} characters`;
  if (!GROUP_NAME.test(group)) return 'RocketMQ takes letters, digits and % | - _ in group names';
  return isApplicationGroup(group) ? undefined : 'RocketMQ keeps this name for itself';
}
