import { z } from '@hono/zod-openapi';
import type { GroupStatus, GroupsApplied, GroupTopicStatus, LinkGroups } from '../control/groups/api.ts';
import { isoTime, time, troubleView, viewTrouble } from './views.ts';

export const placeKind: z.ZodType<GroupStatus['kind']> = z.enum(['exact', 'floor', 'unknown', 'too-old']).meta({
  description:
    'exact: nothing is read again and nothing is missing. floor: nothing is missing, `rereads` records are read again. too-old: the target has deleted what the group has not done. unknown: nothing is guessed.',
});
const rereads = z.number().nullable().meta({ description: 'Records that are read again; null when that is not known.' });
export const groupState: z.ZodType<GroupStatus['state']> = z.enum(['synced', 'shown', 'ahead', 'active', 'waiting']).meta({
  description:
    'synced: the target has the place. active: consumers are connected to the target, which leaves it alone. ahead: the group is further on there. waiting: see reason. shown: the link only shows places.',
});
const synced = time.nullable().meta({ description: 'When it was last in step with the source; null before the first time.' });

const place = z
  .strictObject({
    partition: z.int(),
    lane: z.string().meta({ description: "The target's own name of the partition.", examples: ['broker-a:3', '3'] }),
    kind: placeKind,
    next: z
      .string()
      .nullable()
      .meta({ description: 'The first record that the group has not done; null when unknown.', examples: ['812:45'] }),
    was: z
      .string()
      .nullable()
      .meta({
        description: 'Where the group was on the target before this pass; null where it had no place, or was not asked for.',
        examples: ['812:40'],
      }),
    rereads,
    outcome: z
      .enum(['applied', 'same', 'ahead', 'active', 'failed'])
      .nullable()
      .meta({ description: 'What became of it on the target; null when nothing was tried.' }),
    lagging: z
      .boolean()
      .meta({ description: 'Unknown only because the mirrors lag: it becomes known when they have caught up.' }),
    reason: z.string().nullable().meta({ description: 'Why it is not exact, or could not be applied.' }),
  })
  .openapi('GroupPlace');

const topic = z
  .strictObject({
    mirror: z.string(),
    topic: z.string().meta({ description: 'Source topic.' }),
    targetTopic: z.string(),
    sharing: z
      .enum(['ordered', 'shared'])
      .nullable()
      .meta({ description: 'Whether records of a lane go to several consumers at a time; null when the source cannot say.' }),
    members: z.number().nullable().meta({ description: 'Consumers connected at the source; null when unknown.' }),
    targetMembers: z.number().nullable().meta({ description: 'Consumers connected at the target; null when unknown.' }),
    source: z.record(z.string(), z.string()).meta({
      description: 'By source lane: the first record that the group has not done.',
      examples: [{ 'broker-a:3': '125000' }],
    }),
    sourceHoles: z.int().meta({ description: 'Stretches beyond these places that it has done already.' }),
    behindBecause: z.string().nullable().meta({ description: 'Why these places may lie behind what is really done.' }),
    kind: placeKind,
    rereads,
    ahead: z.number().nullable().meta({
      description:
        'Records that the group has done and the mirror has still to bring; null when they cannot be counted, and there may be some.',
    }),
    places: z.array(place),
    state: groupState,
    syncedAt: synced,
  })
  .openapi('GroupTopic');

const group = z
  .strictObject({
    group: z.string(),
    targetGroup: z.string().meta({ description: 'Its name on the target.' }),
    kind: placeKind,
    rereads,
    state: groupState,
    syncedAt: synced,
    topics: z.array(topic),
  })
  .openapi('Group');

export const groupView: z.ZodType = group;

export const linkGroupsView: z.ZodType = z
  .strictObject({
    link: z.string(),
    apply: z.enum(['idle', 'never', 'off']).meta({ description: 'As `groups` of the link says; off: the link has no `groups`.' }),
    passAt: time.nullable().meta({ description: 'When a pass over all groups last ended.' }),
    trouble: troubleView.nullable(),
    groups: z.array(group),
  })
  .openapi('LinkGroups');

export const groupsAppliedView: z.ZodType = z
  .strictObject({
    link: z.string(),
    force: z.boolean(),
    dryRun: z.boolean(),
    trouble: troubleView.nullable().meta({ description: 'What kept some of the groups from being looked at.' }),
    groups: z.array(group),
  })
  .openapi('GroupsApplied');

export const positionView: z.ZodType = z
  .strictObject({
    mirror: z.string(),
    targetTopic: z.string(),
    kind: placeKind,
    ahead: z.number().nullable().meta({
      description: 'Records before the position that the mirror has still to bring; null when they cannot be counted.',
    }),
    places: z.array(place),
  })
  .openapi('PositionTranslation');

const optionalTime = (millis: number | null): string | null => (millis === null ? null : isoTime(millis));

export function viewGroup(status: GroupStatus): object {
  return { ...status, syncedAt: optionalTime(status.syncedAt), topics: status.topics.map(viewTopic) };
}

function viewTopic(status: GroupTopicStatus): object {
  return { ...status, syncedAt: optionalTime(status.syncedAt) };
}

export function viewLinkGroups(status: LinkGroups): object {
  return {
    ...status,
    passAt: optionalTime(status.passAt),
    trouble: viewTrouble(status.trouble),
    groups: status.groups.map(viewGroup),
  };
}

export function viewGroupsApplied(applied: GroupsApplied): object {
  return { ...applied, trouble: viewTrouble(applied.trouble), groups: applied.groups.map(viewGroup) };
}
