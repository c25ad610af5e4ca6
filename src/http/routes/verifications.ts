import { z } from '@hono/zod-openapi';
import { name, parseTime, textField } from '../../config/fields.ts';
import type { VerificationRequest } from '../../control/verification/api.ts';
import { IsthmusError } from '../../errors.ts';
import { type ApiContext, type HttpDeps, json, type Operation } from '../api.ts';
import { checkBody, readJsonBody, sentSchema } from '../body.ts';
import { verificationView, viewVerification } from '../verification-view.ts';

const MAX_TOPICS = 1_000;
const ID = /^\d{1,15}-[0-9a-z]{6}$/;

const MUST_BE_TIME = 'must be a moment with its zone';

const moment = textField(MUST_BE_TIME, (text) => {
  const value = parseTime(text);
  return value === undefined ? { wrong: MUST_BE_TIME, hint: 'for example 2026-11-01T00:00:00Z' } : { value };
});

const newVerification = z.strictObject({
  link: name.meta({ description: 'The link of the mirror.', examples: ['east-west'] }),
  mirror: name.meta({ description: 'Name of the mirror in its link.', examples: ['orders'] }),
  topics: z
    .array(z.string().min(1))
    .min(1)
    .max(MAX_TOPICS)
    .optional()
    .meta({ description: 'Source topics; default: all that the mirror has.' }),
  from: moment.optional().meta({ description: 'Only records that the source has stored at this moment or later.' }),
  to: moment.optional().meta({ description: 'Only records that the source has stored before this moment.' }),
  repair: z
    .boolean()
    .optional()
    .meta({ description: 'Send what is missing. The mirror stands still for as long as that takes.' }),
});

export const verificationComponents: Readonly<Record<string, object>> = { NewVerification: sentSchema(newVerification) };

function requestOf(body: unknown): VerificationRequest {
  const { link, mirror, topics, from, to, repair = false } = checkBody(newVerification, body, 'starting a verification');
  return { key: { link, mirror }, topics: topics === undefined ? undefined : [...new Set(topics)], from, to, repair };
}

function idOf(context: ApiContext): string {
  const id = context.req.param('id') ?? '';
  if (!ID.test(id)) throw new IsthmusError('NOT_FOUND', 'looking for a verification: there is none of this id');
  return id;
}

const EXAMPLE = { link: 'east-west', mirror: 'orders', from: '2026-11-01T00:00:00Z', to: '2026-11-02T00:00:00Z' };

/** Comparing source and target of mirrors. */
export function verificationOperations({ control: { verifications } }: HttpDeps): Operation[] {
  return [
    {
      method: 'get',
      path: '/v1/verifications',
      tag: 'verifications',
      summary: 'Comparisons that run, and the newest that have ended',
      responses: {
        200: { description: 'Newest first; at most 20.', schema: z.strictObject({ verifications: z.array(verificationView) }) },
      },
      handle: () => json({ verifications: verifications.list().map(viewVerification) }),
    },
    {
      method: 'post',
      path: '/v1/verifications',
      tag: 'verifications',
      summary: 'Compares source and target of a mirror, in the background',
      description:
        'Two at a time, one per mirror. What is not mirrored yet is not compared. Ask the path in Location for the outcome.',
      body: { schema: { $ref: '#/components/schemas/NewVerification' }, example: EXAMPLE },
      refusals: [400, 404, 409, 413, 415, 503],
      responses: { 202: { description: 'Begun; Location names it.', schema: verificationView } },
      handle: async (context) => {
        const started = verifications.start(requestOf(await readJsonBody(context)));
        return json(viewVerification(started), 202, { Location: `/v1/verifications/${started.id}` });
      },
    },
    {
      method: 'get',
      path: '/v1/verifications/{id}',
      tag: 'verifications',
      summary: 'A comparison: how far it is, and what it has found',
      refusals: [404],
      responses: { 200: { description: 'As it is now.', schema: verificationView } },
      handle: (context) => json(viewVerification(verifications.get(idOf(context)))),
    },
    {
      method: 'delete',
      path: '/v1/verifications/{id}',
      tag: 'verifications',
      summary: 'Cancels a comparison that runs; forgets one that has ended',
      refusals: [404],
      responses: { 204: { description: 'Done. A cancelled one is shown as that until it is forgotten.' } },
      handle: (context) => {
        verifications.remove(idOf(context));
        return new Response(null, { status: 204 });
      },
    },
  ];
}
