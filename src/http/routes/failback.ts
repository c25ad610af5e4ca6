import { z } from '@hono/zod-openapi';
import {
  FAILBACK_PHASES,
  FAILBACK_POLICIES,
  FAILBACK_STATES,
  type FailbackListing,
  type FailbackRequest,
  type FailbackView,
} from '../../control/failback/api.ts';
import { type HttpDeps, json, nameParameter, type Operation } from '../api.ts';
import { checkBody, readJsonBody, sentSchema } from '../body.ts';
import { isoTime, time, troubleView, viewTrouble } from '../views.ts';

const newFailback = z.strictObject({
  policy: z.enum(FAILBACK_POLICIES).optional().meta({
    description:
      'What becomes of the records of `listing`: append (they come behind what the target has), drop (they stay where they are), review (they are written to a topic of their own). Left out: list them.',
  }),
  listing: z.string().min(1).optional().meta({ description: 'With a policy: id of the listing that it is for.' }),
  reviewTopic: z.string().min(1).optional().meta({ description: 'With the policy review: topic of the target.' }),
});

export const failbackComponents: Readonly<Record<string, object>> = { NewFailback: sentSchema(newFailback) };

const count = z.int().min(0);
const position = z.string().meta({ description: '125000 on RocketMQ; 812:45 or 812:45:3 on Pulsar.' });

const listing = z.strictObject({
  id: z.string().meta({ description: 'To be sent with a policy.' }),
  failover: z.string(),
  since: time.meta({ description: 'When the failover began.' }),
  at: time,
  records: count.meta({ description: 'Records that the source has and the target has not.' }),
  unkeyed: count,
  keys: count,
  untracked: count.meta({ description: 'Records whose keys were too many to be told apart: of those conflicts are not known.' }),
  conflicts: count.meta({ description: "Keys that the target's own applications have written under as well since then." }),
  lanes: z.array(
    z.strictObject({
      mirror: z.string(),
      topic: z.string(),
      lane: z.string(),
      from: position,
      end: position.meta({ description: 'What comes at or after it is not listed.' }),
      records: count,
      stored: count.meta({ description: 'In the target already.' }),
      fromTarget: count.meta({ description: 'Came from the target.' }),
      filtered: count.meta({ description: "Left out by the mirror's filter." }),
    }),
  ),
  listed: z
    .array(
      z.strictObject({
        mirror: z.string(),
        topic: z.string(),
        lane: z.string(),
        position,
        time,
        key: z.string().nullable(),
      }),
    )
    .meta({ description: 'The first thousand.' }),
  keyList: z
    .array(
      z.strictObject({
        mirror: z.string(),
        topic: z.string(),
        targetTopic: z.string(),
        key: z.string(),
        records: count,
        newest: time,
        onTarget: count,
        newestOnTarget: time.nullable(),
      }),
    )
    .meta({ description: 'Conflicts first; a thousand at most.' }),
  notes: z.array(z.string()),
});

const failback = z
  .strictObject({
    link: z.string(),
    from: z.string(),
    to: z.string(),
    state: z.enum(FAILBACK_STATES).meta({
      description: 'listed: nothing was changed, and a policy is waited for. failed and cancelled: what was done stays.',
    }),
    phase: z.enum(FAILBACK_PHASES),
    policy: z.enum(FAILBACK_POLICIES).nullable(),
    reviewTopic: z.string().nullable(),
    startedAt: time,
    endedAt: time.nullable(),
    topic: z.string().meta({ description: 'The topic at hand.' }),
    read: count.meta({ description: 'Records found so far.' }),
    reviewed: count.meta({ description: 'Records written to the review topic.' }),
    resumed: z.array(z.string()).meta({ description: 'Mirrors that run again.' }),
    listing: listing.nullable(),
    reverse: z
      .array(
        z.strictObject({
          link: z.string(),
          mirrors: count,
          running: count,
          lagRecords: z.number().nullable(),
          lagSeconds: z.number().nullable(),
        }),
      )
      .meta({ description: 'Links from the target back to the source, as far as this process runs them.' }),
    next: z.array(z.string()).meta({ description: 'What is to be done next, for people.' }),
    trouble: troubleView.nullable(),
  })
  .openapi('Failback');

function viewListing({ since, at, lanes, listed, keyList, notes, ...rest }: FailbackListing): z.output<typeof listing> {
  return {
    ...rest,
    since: isoTime(since),
    at: isoTime(at),
    lanes: lanes.map((lane) => ({ ...lane })),
    listed: listed.map((record) => ({ ...record, time: isoTime(record.time) })),
    keyList: keyList.map((key) => ({
      ...key,
      newest: isoTime(key.newest),
      newestOnTarget: key.newestOnTarget === null ? null : isoTime(key.newestOnTarget),
    })),
    notes: [...notes],
  };
}

function viewFailback({ startedAt, endedAt, listing: made, trouble, resumed, reverse, next, ...rest }: FailbackView): object {
  const view: z.output<typeof failback> = {
    ...rest,
    startedAt: isoTime(startedAt),
    endedAt: endedAt === null ? null : isoTime(endedAt),
    resumed: [...resumed],
    listing: made === null ? null : viewListing(made),
    reverse: reverse.map((link) => ({ ...link })),
    next: [...next],
    trouble: viewTrouble(trouble),
  };
  return view;
}

function requestOf(link: string, body: unknown): FailbackRequest {
  return { link, ...checkBody(newFailback, body, 'failing back') };
}

const PATH = '/v1/links/{link}/failback';

/** What the lost side still has after an unplanned failover, and what becomes of it. */
export function failbackOperations({ control: { failbacks } }: HttpDeps): Operation[] {
  return [
    {
      method: 'post',
      path: PATH,
      tag: 'groups',
      summary: 'Lists what only the source has after an unplanned failover, or says what becomes of it; in the background',
      description:
        'Without a policy nothing is changed. With one the answer to GET has to have been a listing, whose id is sent: nothing else is dropped or reviewed. At the end the mirrors of the link run again. Ask the same path for progress.',
      body: { schema: { $ref: '#/components/schemas/NewFailback' }, example: { policy: 'append', listing: '1-k3x9qa' } },
      refusals: [400, 404, 409, 413, 415, 503],
      responses: { 202: { description: 'Begun.', schema: failback } },
      handle: async (context) => {
        const link = nameParameter(context, 'link');
        const started = await failbacks.start(requestOf(link, await readJsonBody(context)));
        return json(viewFailback(started), 202, { Location: `/v1/links/${link}/failback` });
      },
    },
    {
      method: 'get',
      path: PATH,
      tag: 'groups',
      summary: 'The last failback of a link: what was listed, how far it is, and what comes next',
      refusals: [404, 503],
      responses: { 200: { description: 'As it is now.', schema: failback } },
      handle: async (context) => json(viewFailback(await failbacks.status(nameParameter(context, 'link')))),
    },
    {
      method: 'delete',
      path: PATH,
      tag: 'groups',
      summary: 'Cancels a failback that runs',
      description: 'What was done stays; the same policy can be gone on with.',
      refusals: [404, 409, 503],
      responses: { 200: { description: 'As it is now.', schema: failback } },
      handle: async (context) => json(viewFailback(await failbacks.cancel(nameParameter(context, 'link')))),
    },
  ];
}
