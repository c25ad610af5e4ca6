import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { offsetPosition } from '../../../model/position.ts';
import type { GroupMove, GroupPlace, MovedLane } from '../../../spi/groups.ts';
import type { Groups as OwnGroups } from '../groups.ts';
import type { Network } from '../network.ts';
import { accepted } from '../refusal.ts';
import { brokerOf, parseLane, type Routes } from '../routes.ts';
import { ResponseCode } from '../wire/codes.ts';
import type { Command } from '../wire/command.ts';
import { RESET_PENDING_REMARK, updateConsumerOffset } from '../wire/consumer-offset.ts';
import { resetOffset } from '../wire/reset-offset.ts';

export interface MoveParts {
  readonly network: Network;
  readonly routes: Routes;
  /** Reads places of groups, and makes groups. */
  readonly own: OwnGroups;
}

/** Moves a group that has so many `members`, queue by queue, and reads each place back. */
export async function moveGroup(parts: MoveParts, move: GroupMove, members: number): Promise<MovedLane[]> {
  const moved: MovedLane[] = [];
  for (const place of move.places) {
    try {
      moved.push(await moveQueue(parts, move, place, members));
    } catch (error) {
      const { code, message } = toIsthmusError(error);
      moved.push({ lane: place.lane, outcome: 'failed', next: undefined, rereads: undefined, detail: `${code}: ${message}` });
    }
  }
  return moved;
}

async function moveQueue(
  parts: MoveParts,
  { group, topic, force }: GroupMove,
  place: GroupPlace,
  members: number,
): Promise<MovedLane> {
  const { lane } = place;
  const id = { topic, lane };
  const queue = parseLane(lane);
  const wanted = Math.max(0, place.next.major);
  const there = await parts.own.committed(id, queue, group);
  const next = there === undefined ? undefined : offsetPosition(there);
  if (members > 0 && !force) return { lane, outcome: 'active', next, rereads: undefined };
  if (there !== undefined && there > wanted && !force) return { lane, outcome: 'ahead', next, rereads: undefined };
  // RocketMQ keeps one number per queue: whatever is done beyond it is read again.
  const rereads = place.done.reduce((sum, { records }) => sum + records, 0);
  if (there === wanted) return { lane, outcome: 'same', next, rereads };
  await store(parts, { group, topic, lane, wanted, reset: force && (members > 0 || (there ?? 0) > wanted) });
  const back = await parts.own.committed(id, queue, group);
  if (back !== wanted) {
    throw new IsthmusError(
      'CONFLICT',
      `moving the group ${group} to ${wanted} in ${topic} ${lane}: it reads ${back ?? 'nothing'} afterwards; somebody else uses it`,
      {
        retryable: true,
      },
    );
  }
  return { lane, outcome: 'applied', next: offsetPosition(back), rereads, movedBack: (there ?? 0) > wanted || undefined };
}

interface Store {
  readonly group: string;
  readonly topic: string;
  readonly lane: string;
  readonly wanted: number;
  /** Also against consumers, and backwards in what they hold. */
  readonly reset: boolean;
}

async function store({ network, routes, own }: MoveParts, { group, topic, lane, wanted, reset }: Store): Promise<void> {
  const queue = parseLane(lane);
  const { master } = brokerOf(await routes.get(topic), topic, queue);
  const doing = `moving the group ${group} in ${topic} ${lane}`;
  if (master === undefined) throw new IsthmusError('BROKER_BUSY', `${doing}: broker ${queue.brokerName} has no master now`);
  const plain = updateConsumerOffset(group, topic, queue.queueId, wanted);
  const forced = resetOffset(group, topic, queue.queueId, wanted);
  let answer: Command = await network.call(master, reset ? forced : plain);
  if (answer.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST) {
    await own.create(master, group);
    answer = await network.call(master, reset ? forced : plain);
  }
  // An earlier reset that nobody has taken up yet makes a plain move a success that stores nothing.
  if (answer.remark.includes(RESET_PENDING_REMARK)) answer = await network.call(master, forced);
  accepted(answer, doing);
}
