/** What every driver does that knows consumer groups: they are shown where they are, brought to places, and found there by other processes. */
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Position } from '../../../../src/model/position.ts';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import type { GroupMove, Groups } from '../../../../src/spi/groups.ts';
import { numberedMessages } from './reading.ts';
import type { Shore } from './shore.ts';
import { openBoth } from './under-test.ts';

export function describeGroups(shore: Shore): void {
  const { groups } = shore.cluster;
  if (groups === undefined) return;
  describe('a consumer group', () => {
    moved(shore, groups);
    if (groups.survey !== undefined) surveyed(shore, { survey: groups.survey.bind(groups) });
  });
}

/** A topic with 30 messages in its first lane, 7 in the second and none in the third; and a group that has done the first, none of the second, and all of the third. */
async function groupOn(shore: Shore, groups: Groups): Promise<GroupMove> {
  const { topic, lanes } = await shore.newTopic(3);
  await shore.world.send(topic, 0, numberedMessages(0, 30));
  await shore.world.send(topic, 1, numberedMessages(30, 37));
  const extents = await shore.cluster.admin.extents(topic);
  const places = lanes.map(({ lane }, i) => {
    const extent = extents.get(lane);
    if (extent === undefined) throw new Error(`no extent of ${lane}`);
    return { lane, next: i === 1 ? extent.begin : extent.end, done: [] };
  });
  // By this name no cluster takes it for one whose places it hands out before they are done.
  const move: GroupMove = { group: `isthmus-conformance-${randomUUID()}`, topic, sharing: 'ordered', places, force: false };
  const outcomes = (await groups.move(move)).map(({ outcome }) => outcome);
  expect(outcomes.every((outcome) => outcome === 'applied' || outcome === 'same')).toBe(true);
  return move;
}

async function placesOf(cluster: Cluster, { group, topic }: GroupMove): Promise<Map<string, Position>> {
  const progress = (await cluster.groups?.progress([topic])) ?? [];
  return new Map(progress.find((each) => each.group === group)?.lanes.map(({ lane, next }) => [lane, next]));
}

function moved(shore: Shore, groups: Groups): void {
  it('is made where it is wanted, is then shown there to every process, and is the same when it is wanted there again', async () => {
    const move = await groupOn(shore, groups);
    const again = await groups.move(move);
    expect(again.map(({ lane, outcome }) => [lane, outcome])).toEqual(move.places.map(({ lane }) => [lane, 'same']));
    const other = openBoth(shore.driver);
    const seen = await placesOf(other, move);
    await other.close();
    // What the move has read back is what everybody reads.
    for (const { lane, next } of again) expect(seen.get(lane)).toEqual(next);
  });

  it('is not moved back unasked', async () => {
    const move = await groupOn(shore, groups);
    const before = await placesOf(shore.cluster, move);
    const begin = (await shore.cluster.admin.extents(move.topic)).get(move.places[0]?.lane ?? '')?.begin;
    if (begin === undefined) throw new Error('the lane has an extent');
    const back = await groups.move({ ...move, places: move.places.slice(0, 1).map((place) => ({ ...place, next: begin })) });
    expect(back.map(({ outcome }) => outcome)).toEqual(['ahead']);
    expect(await placesOf(shore.cluster, move)).toEqual(before);
  });
}

function surveyed(shore: Shore, { survey }: Required<Pick<Groups, 'survey'>>): void {
  it('is shown in one look with the ends of all lanes, as apart from them; where there is no topic, there is nothing', async () => {
    const { groups, admin } = shore.cluster;
    if (groups === undefined) throw new Error('it was just there');
    const moves = [await groupOn(shore, groups), await groupOn(shore, groups)];
    const { topic: idle } = await shore.newTopic();
    const absent = shore.driver.newTopicName();
    const topics = [...moves.map(({ topic }) => topic), idle];
    const surveys = await survey([...topics, absent]);
    expect([...surveys.keys()].sort()).toEqual([...topics, absent].sort());
    for (const topic of topics) {
      const extents = await admin.extents(topic);
      expect(surveys.get(topic)).toEqual({ groups: await groups.progress([topic]), extents });
    }
    for (const { topic, group } of moves) expect(surveys.get(topic)).toMatchObject({ groups: [{ group, topic }] });
    expect(surveys.get(absent)).toEqual({ groups: [], extents: new Map() });
  });

  const { openNowhere } = shore.driver;
  if (openNowhere === undefined) return;
  it('of a cluster that is away is an error for each topic, and nothing is thrown', async () => {
    const nowhere = openNowhere();
    const topics = [shore.driver.newTopicName(), shore.driver.newTopicName()];
    const surveys = (await nowhere.groups?.survey?.(topics)) ?? new Map();
    for (const topic of topics) expect(surveys.get(topic)).toMatchObject({ code: 'CONNECT_FAILED', retryable: true });
    await nowhere.close();
  });
}
