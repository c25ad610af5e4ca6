import { z } from '@hono/zod-openapi';
import { parseDuration, textField } from '../../config/fields.ts';
import { type HttpDeps, json, nameParameter, type Operation } from '../api.ts';
import { checkBody, readJsonBody, sentSchema } from '../body.ts';
import { failoverView, planView, viewFailover, viewPlan } from '../failover-view.ts';

const MUST_BE_DURATION = 'must be a duration such as 30s or 10m';

const duration = textField(MUST_BE_DURATION, (text) => {
  const value = parseDuration(text);
  return value === undefined ? { wrong: MUST_BE_DURATION } : { value };
});

const newFailover = z.strictObject({
  kind: z.enum(['planned', 'unplanned']).optional().meta({
    description:
      'planned (default): both regions are there. unplanned: the source is gone; the last that was seen of it has to do.',
  }),
  dryRun: z.boolean().optional().meta({ description: 'Only the plan: nothing is changed.' }),
  drainTimeout: duration.optional().meta({
    description: 'How long the target may take to get what the source still gives; default 10m, unplanned 30s.',
    examples: ['10m'],
  }),
  force: z.boolean().optional().meta({ description: 'Begin although the plan has blockers.' }),
});

export const failoverComponents: Readonly<Record<string, object>> = { NewFailover: sentSchema(newFailover) };

const PLANNED_DRAIN_MILLIS = 600_000;
const UNPLANNED_DRAIN_MILLIS = 30_000;
const PATH = '/v1/links/{link}/failover';

/** Moving the use of topics from the source of a link to its target. */
export function failoverOperations({ control: { failovers } }: HttpDeps): Operation[] {
  return [
    {
      method: 'post',
      path: PATH,
      tag: 'groups',
      summary: 'Plans a failover, or begins one in the background',
      description:
        'With dryRun the answer is the plan. Otherwise watch the path in Location; the certificate is there at the end.',
      body: { schema: { $ref: '#/components/schemas/NewFailover' }, example: { kind: 'planned', dryRun: true } },
      refusals: [400, 404, 409, 413, 415, 502, 503, 504],
      responses: {
        200: { description: 'The plan: nothing was changed.', schema: planView },
        202: { description: 'Begun; Location names it.', schema: failoverView },
      },
      handle: async (context) => {
        const link = nameParameter(context, 'link');
        const body = checkBody(newFailover, await readJsonBody(context), 'beginning a failover');
        const { kind = 'planned', dryRun = false, drainTimeout, force = false } = body;
        if (dryRun) return json(viewPlan(await failovers.plan(link, kind)));
        const drainMillis = drainTimeout ?? (kind === 'planned' ? PLANNED_DRAIN_MILLIS : UNPLANNED_DRAIN_MILLIS);
        const started = await failovers.start({ link, kind, drainMillis, force });
        return json(viewFailover(started), 202, { Location: `/v1/links/${link}/failover` });
      },
    },
    {
      method: 'get',
      path: PATH,
      tag: 'groups',
      summary: 'The last failover of a link: how far it is, and what it has come to',
      refusals: [404, 503],
      responses: { 200: { description: 'As it is now.', schema: failoverView } },
      handle: async (context) => json(viewFailover(await failovers.status(nameParameter(context, 'link')))),
    },
    {
      method: 'delete',
      path: PATH,
      tag: 'groups',
      summary: 'Aborts a failover that has not released the target yet',
      description: 'What was done stays: hooks are not undone, groups stay where they were moved.',
      refusals: [404, 409, 503],
      responses: { 200: { description: 'As it is now.', schema: failoverView } },
      handle: async (context) => json(viewFailover(await failovers.abort(nameParameter(context, 'link')))),
    },
  ];
}
