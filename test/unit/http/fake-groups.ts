import type {
  ApplyRequest,
  GroupControl,
  GroupState,
  GroupStatus,
  GroupTopicStatus,
  LinkGroups,
  PositionRequest,
} from '../../../src/control/groups/api.ts';
import { IsthmusError } from '../../../src/errors.ts';

/** Groups that stand still. */
export interface FakeGroups extends GroupControl {
  readonly synced: string[];
  readonly requests: PositionRequest[];
  readonly applied: ApplyRequest[];
  outcome: GroupState;
}

const PLACE: GroupTopicStatus['places'][number] = {
  partition: 3,
  lane: '3',
  kind: 'floor',
  next: '812:45',
  was: '812:51',
  rereads: 7,
  outcome: 'applied',
  lagging: false,
  reason: null,
};

const TOPIC: GroupTopicStatus = {
  mirror: 'orders',
  topic: 'orders-eu',
  targetTopic: 'persistent://public/default/orders-eu',
  sharing: 'ordered',
  members: 0,
  targetMembers: 0,
  source: { 'broker-a:3': '125000' },
  sourceHoles: 0,
  behindBecause: null,
  kind: 'floor',
  rereads: 7,
  ahead: 12,
  places: [PLACE],
  state: 'synced',
  syncedAt: 4_000,
};

const GROUP: GroupStatus = {
  group: 'billing',
  targetGroup: 'billing',
  kind: 'floor',
  rereads: 7,
  state: 'synced',
  syncedAt: 4_000,
  topics: [TOPIC],
};

export function fakeGroups(): FakeGroups {
  const list = (link: string): LinkGroups => {
    if (link !== 'east-west') throw new IsthmusError('NOT_FOUND', `looking for the link ${link}: there is none`);
    return { link, apply: 'idle', passAt: 5_000, trouble: null, groups: [GROUP] };
  };
  const fake: FakeGroups = {
    synced: [],
    requests: [],
    applied: [],
    outcome: 'synced',
    list,
    get: (link, group) => {
      const found = list(link).groups.find((each) => each.group === group);
      if (found === undefined) throw new IsthmusError('NOT_FOUND', `looking for the group ${group}: there is none`);
      return found;
    },
    translate: (request) => {
      fake.requests.push(request);
      return Promise.resolve({
        mirror: 'orders',
        targetTopic: TOPIC.targetTopic,
        kind: 'exact',
        ahead: 0,
        places: [{ ...PLACE, kind: 'exact', rereads: 0, outcome: null }],
      });
    },
    apply: (request) => {
      fake.applied.push(request);
      const { link, group, force, dryRun } = request;
      const groups = group === undefined ? list(link).groups : [fake.get(link, group)];
      return Promise.resolve({
        link,
        force,
        dryRun,
        trouble: null,
        groups: groups.map((each) => ({ ...each, state: fake.outcome })),
      });
    },
    syncNow: (link) => {
      fake.synced.push(link);
      return Promise.resolve(list(link));
    },
  };
  return fake;
}
