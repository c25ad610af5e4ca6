import { z } from '@hono/zod-openapi';
import type { ReplayRequest, ReplayStatus } from '../../control/replay/api.ts';
import type { MirrorKey } from '../../spi/state-store.ts';
import { type HttpDeps, json, mirrorParameters, type Operation } from '../api.ts';
import { checkBody, readJsonBody, sentSchema } from '../body.ts';
import { isoTime, time, troubleView, viewTrouble } from '../views.ts';

const PATH = '/v1/mirrors/{link}/{mirror}/replay';
const MAX_TOPICS = 1_000;
const MAX_LETTERS = 1_000_000_000;

const newReplay = z.strictObject({
  topics: z
    .array(z.string().min(1))
    .min(1)
    .max(MAX_TOPICS)
    .optional()
    .meta({ description: 'Source topics; default: all that the mirror has.' }),
  limit: z.int().min(1).max(MAX_LETTERS).optional().meta({
    description: 'At most so many dead letters per topic (per queue or partition of the dead-letter topic, which has one).',
  }),
  dryRun: z.boolean().optional().meta({ description: 'Only look which there are, and which of them the target has already.' }),
  skipRefused: z.boolean().optional().meta({
    description: 'Pass over what the target refuses again, and never try it again; else the replay stops there.',
  }),
});

export const replayComponents: Readonly<Record<string, object>> = { NewReplay: sentSchema(newReplay) };

const count = z.int().min(0);

const replay = z
  .strictObject({
    link: z.string(),
    mirror: z.string(),
    state: z.enum(['running', 'done', 'failed', 'cancelled']),
    dryRun: z.boolean(),
    startedAt: time,
    endedAt: time.nullable(),
    topics: z.array(
      z.strictObject({
        topic: z.string().meta({ description: 'Source topic.' }),
        deadLetterTopic: z.string(),
        targetTopic: z.string(),
        found: count.meta({ description: 'Dead letters that were not replayed before.' }),
        unfit: count.meta({
          description:
            'What lies there and is no record that could be put back: pieces of large ones, whole entries, what is there twice, letters of others.',
        }),
        stored: count.meta({
          description: 'Of those found, in the target already: stored since by the mirror, or by a replay that was killed.',
        }),
        replayed: count.meta({ description: 'Put back.' }),
        refused: count.meta({ description: 'Refused again and passed over.' }),
      }),
    ),
    letters: z
      .array(
        z.strictObject({
          deadLetterTopic: z.string(),
          at: z.string().meta({ description: 'Its lane and position there.' }),
          topic: z.string(),
          lane: z.string(),
          position: z.string().meta({ description: 'Where the record was at the source.' }),
          reason: z.string(),
          stored: z.boolean().meta({ description: 'In the target already, so that it is not put back.' }),
        }),
      )
      .meta({ description: 'The first hundred of those found.' }),
    trouble: troubleView.nullable(),
  })
  .openapi('Replay');

function viewReplay({ request, state, startedAt, endedAt, topics, letters, trouble }: ReplayStatus): object {
  const view: z.output<typeof replay> = {
    link: request.key.link,
    mirror: request.key.mirror,
    state,
    dryRun: request.dryRun,
    startedAt: isoTime(startedAt),
    endedAt: endedAt === null ? null : isoTime(endedAt),
    topics: topics.map((topic) => ({ ...topic })),
    letters: letters.map((letter) => ({ ...letter })),
    trouble: viewTrouble(trouble),
  };
  return view;
}

function requestOf(key: MirrorKey, body: unknown): ReplayRequest {
  const { topics, limit, dryRun = false, skipRefused = false } = checkBody(newReplay, body, 'starting a replay');
  return { key, topics: topics === undefined ? undefined : [...new Set(topics)], limit, dryRun, skipRefused };
}

/** Putting dead letters back in. */
export function replayOperations({ control: { replays } }: HttpDeps): Operation[] {
  return [
    {
      method: 'post',
      path: PATH,
      tag: 'mirrors',
      summary: 'Puts dead letters back into their target topics, in the background',
      description:
        'In the order in which they lie in the dead-letter topic, up to the last one that is there now. Those replayed before are not replayed again. The mirror goes on meanwhile. Ask the same path for progress.',
      body: { schema: { $ref: '#/components/schemas/NewReplay' }, example: { topics: ['orders-eu'], limit: 1000, dryRun: true } },
      refusals: [400, 404, 409, 413, 415],
      responses: { 202: { description: 'Begun.', schema: replay } },
      handle: async (context) => {
        const key = mirrorParameters(context);
        const started = replays.start(requestOf(key, await readJsonBody(context)));
        return json(viewReplay(started), 202, { Location: `/v1/mirrors/${key.link}/${key.mirror}/replay` });
      },
    },
    {
      method: 'get',
      path: PATH,
      tag: 'mirrors',
      summary: 'The last replay of a mirror: how far it is',
      refusals: [404],
      responses: { 200: { description: 'As it is now.', schema: replay } },
      handle: (context) => json(viewReplay(replays.get(mirrorParameters(context)))),
    },
    {
      method: 'delete',
      path: PATH,
      tag: 'mirrors',
      summary: 'Cancels a replay that runs',
      description: 'What it has put back is remembered.',
      refusals: [404],
      responses: { 200: { description: 'It ends soon.', schema: replay } },
      handle: (context) => json(viewReplay(replays.cancel(mirrorParameters(context)))),
    },
  ];
}
