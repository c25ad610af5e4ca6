import { describe, expect, it } from 'vitest';
import { groupNameProblem, isApplicationGroup, retryTopics } from '../../../../../src/drivers/rocketmq/groups/names.ts';

describe('names of consumer groups', () => {
  it.each(['orders', 'orders_eu-1', 'A|b%c', 'x'.repeat(120)])('%s is taken', (group) => {
    expect(groupNameProblem(group)).toBeUndefined();
  });

  it.each(['', 'x'.repeat(121), 'orders.eu', 'orders eu', 'b\u00fccher', 'TOOLS_CONSUMER', 'CID_RMQ_SYS_TRANS'])(
    '%s is refused, with what to do',
    (group) => {
      expect(groupNameProblem(group)).toMatch(/^RocketMQ /);
    },
  );

  it('those of brokers, proxies and tools are no applications, those of mirrors are', () => {
    const all = ['CID_RMQ_SYS_REVIVE_GROUP', 'rmq_sys_x', 'TOOLS_CONSUMER', 'isthmus-look', 'isthmus-l-east-1', 'orders'];
    expect(all.filter(isApplicationGroup)).toEqual(['isthmus-l-east-1', 'orders']);
  });

  it('give the retry topics of push consumers and both forms of those of POP', () => {
    expect(retryTopics('g', 't')).toEqual({ push: '%RETRY%g', pop: ['%RETRY%g_t', '%RETRY%g+t'] });
  });
});
