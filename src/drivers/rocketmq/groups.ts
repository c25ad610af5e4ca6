import { IsthmusError, toIsthmusError } from '../../errors.ts';
import type { LaneId } from '../../model/lane.ts';
import { laneKey } from '../../model/lane.ts';
import type { Log } from '../../spi/log.ts';
import type { Network } from './network.ts';
import { accepted, refusal } from './refusal.ts';
import { brokerOf, type QueueName, type Routes } from './routes.ts';
import { ResponseCode } from './wire/codes.ts';
import { createConsumerGroup } from './wire/consumer-group.ts';
import { queryConsumerOffset, RESET_PENDING_REMARK, updateConsumerOffset } from './wire/consumer-offset.ts';
import { readOffset } from './wire/queue-offset.ts';

/** Consumer groups at the source: our own second checkpoint, and the offsets of others. */
export class Groups {
  readonly #network: Network;
  readonly #routes: Routes;
  readonly #log: Log;
  /** Lanes whose last commit failed, so that a broker that is away gives one warning per lane and not one per commit. */
  readonly #failing = new Set<string>();

  constructor(network: Network, routes: Routes, log: Log) {
    this.#network = network;
    this.#routes = routes;
    this.#log = log;
  }

  /** Creates the group at a broker, which some clusters do not do by themselves, and none for code 15. Idempotent. */
  async create(address: string, group: string): Promise<void> {
    accepted(await this.#network.call(address, createConsumerGroup(group)), `creating the consumer group ${group}`);
  }

  /** The same for a reader that tries again anyway: a failure is only logged. */
  async tryCreate(address: string, group: string): Promise<void> {
    try {
      await this.create(address, group);
    } catch (error) {
      const { code, message } = toIsthmusError(error);
      this.#log.warn('group-create-failed', { group, code, message });
    }
  }

  /** Stores the offset that `group` is to read next. What fails is logged and left to the next call. */
  async commit(lane: LaneId, queue: QueueName, group: string, offset: number): Promise<void> {
    const fields = { topic: lane.topic, lane: lane.lane, group };
    try {
      await this.#store(lane, queue, group, offset);
      if (this.#failing.delete(laneKey(lane))) this.#log.info('source-commit-resumed', fields);
    } catch (error) {
      const { code, message } = toIsthmusError(error);
      if (!this.#failing.has(laneKey(lane))) this.#log.warn('source-commit-failed', { ...fields, code, message });
      this.#failing.add(laneKey(lane));
      this.#routes.markStale(lane.topic);
    }
  }

  async #store(lane: LaneId, queue: QueueName, group: string, offset: number): Promise<void> {
    const doing = `committing ${lane.topic} ${lane.lane} of group ${group}`;
    const address = await this.#master(lane, queue);
    const request = updateConsumerOffset(group, lane.topic, queue.queueId, offset);
    let answer = await this.#network.call(address, request);
    if (answer.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST) {
      await this.create(address, group);
      answer = await this.#network.call(address, request);
    }
    accepted(answer, doing);
    // Success, but not stored: an operator has reset the group, and the next pull takes note of it.
    if (answer.remark.includes(RESET_PENDING_REMARK))
      throw new IsthmusError('CONFLICT', `${doing}: the group was reset by an operator; the next pull settles it`, {
        retryable: true,
      });
  }

  /** The offset that a group reads next, `undefined` when it never committed. */
  async committed(lane: LaneId, queue: QueueName, group: string): Promise<number | undefined> {
    const address = await this.#master(lane, queue);
    const answer = await this.#network.call(address, queryConsumerOffset(group, lane.topic, queue.queueId));
    if (answer.code === ResponseCode.QUERY_NOT_FOUND || answer.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
      return undefined;
    if (answer.code !== ResponseCode.SUCCESS)
      throw refusal(answer, `reading the offset of group ${group} in ${lane.topic} ${lane.lane}`);
    return readOffset(answer);
  }

  async #master(lane: LaneId, queue: QueueName): Promise<string> {
    const { master } = brokerOf(await this.#routes.get(lane.topic), lane.topic, queue);
    if (master === undefined)
      throw new IsthmusError('BROKER_BUSY', `reading ${lane.topic}: broker ${queue.brokerName} has no master now`);
    return master;
  }
}
