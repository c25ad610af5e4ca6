import { z } from '@hono/zod-openapi';
import type { GroupControl } from '../../control/groups/api.ts';
import { IsthmusError } from '../../errors.ts';
import { type ApiContext, type HttpDeps, json, nameParameter, type Operation } from '../api.ts';
import { checkBody, readJsonBody, sentSchema } from '../body.ts';
import {
  groupsAppliedView,
  groupView,
  linkGroupsView,
  positionView,
  viewGroup,
  viewGroupsApplied,
  viewLinkGroups,
} from '../group-view.ts';

const MAX_NAME = 512;

const name = z.string().min(1).max(MAX_NAME);
const newApplication = z.strictObject({
  group: name.optional().meta({ description: 'Its name on the source; all groups that follow where left out.' }),
  topic: name.optional().meta({ description: 'Source topic; all where left out.' }),
  force: z.boolean().optional().meta({
    description:
      'Moves also where consumers are connected to the target, and also backwards. A place that is unknown is never applied.',
  }),
  dryRun: z.boolean().optional().meta({ description: 'Only shows the places: nothing is moved.' }),
});

/** For the document: as it is sent. */
export const groupComponents: Readonly<Record<string, object>> = { NewGroupApplication: sentSchema(newApplication) };

/** A text in the path or the query. Throws INVALID_REQUEST. */
function text(context: ApiContext, name: string): string {
  const value = context.req.query(name) ?? '';
  if (value === '' || value.length > MAX_NAME)
    throw new IsthmusError(
      'INVALID_REQUEST',
      `translating a position: the query needs ${name}, for example ?topic=orders-eu&lane=broker-a:3&position=125000`,
    );
  return value;
}

function groupParameter(context: ApiContext): string {
  const group = context.req.param('group') ?? '';
  if (group === '' || group.length > MAX_NAME)
    throw new IsthmusError('NOT_FOUND', 'looking for a group: there is none of this name');
  return group;
}

/** Consumer groups that follow their topics, and single positions. */
export function groupOperations({ control: { groups } }: HttpDeps): Operation[] {
  return [
    {
      method: 'get',
      path: '/v1/links/{link}/groups',
      tag: 'groups',
      summary: 'The groups of a link: where each would go on at the target',
      description: 'As of the last pass; a link without `groups` has none before POST .../groups/sync.',
      refusals: [404],
      responses: { 200: { description: 'Sorted by name.', schema: linkGroupsView } },
      handle: (context) => json(viewLinkGroups(groups.list(nameParameter(context, 'link')))),
    },
    {
      method: 'post',
      path: '/v1/links/{link}/groups/sync',
      tag: 'groups',
      summary: 'Reads, translates and (where the link says so) applies the progress of all groups now',
      refusals: [400, 404, 409, 502, 503, 504],
      responses: { 200: { description: 'As it is after the pass.', schema: linkGroupsView } },
      handle: async (context) => json(viewLinkGroups(await groups.syncNow(nameParameter(context, 'link')))),
    },
    applyOperation(groups),
    {
      method: 'get',
      path: '/v1/links/{link}/groups/{group}',
      tag: 'groups',
      summary: 'One group, with its places',
      refusals: [404],
      responses: { 200: { description: 'As of the last pass.', schema: groupView } },
      handle: (context) => json(viewGroup(groups.get(nameParameter(context, 'link'), groupParameter(context)))),
    },
    {
      method: 'get',
      path: '/v1/links/{link}/translate',
      tag: 'groups',
      summary: 'Where a source position lies in the target',
      description: 'For each partition that the lane writes: the place of its first record at or after the position.',
      query: {
        topic: { description: 'Source topic.', example: 'orders-eu' },
        lane: { description: 'Source lane: a queue or partition.', example: 'broker-a:3' },
        position: { description: 'Position in the lane: 125000 on RocketMQ, 812:45 or 812:45:3 on Pulsar.', example: '125000' },
      },
      refusals: [400, 404, 502, 503, 504],
      responses: { 200: { description: 'The places.', schema: positionView } },
      handle: async (context) => {
        const request = {
          link: nameParameter(context, 'link'),
          topic: text(context, 'topic'),
          lane: text(context, 'lane'),
          position: text(context, 'position'),
        };
        return json(await groups.translate(request));
      },
    },
  ];
}

function applyOperation(groups: GroupControl): Operation {
  return {
    method: 'post',
    path: '/v1/links/{link}/groups/apply',
    tag: 'groups',
    summary: 'Moves groups to their present places once, by force where that is wanted',
    description:
      'Whatever `apply` of the link says. Without force as the sync does it: not where consumers are connected to the target, and never backwards. Each place says what became of it in `outcome`.',
    body: { schema: { $ref: '#/components/schemas/NewGroupApplication' }, example: { group: 'billing', force: true } },
    refusals: [400, 404, 409, 413, 415, 502, 503, 504],
    responses: { 200: { description: 'What became of each place.', schema: groupsAppliedView } },
    handle: async (context) => {
      const link = nameParameter(context, 'link');
      const body = checkBody(newApplication, await readJsonBody(context), 'applying places of groups');
      const { force = false, dryRun = false, ...which } = body;
      return json(viewGroupsApplied(await groups.apply({ link, ...which, force, dryRun })));
    },
  };
}
