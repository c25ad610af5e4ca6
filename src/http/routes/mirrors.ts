import { z } from '@hono/zod-openapi';
import { mirrorSchema } from '../../config/mirror-fields.ts';
import { formatMirrorSpec, type MirrorContext, parseMirrorSpec } from '../../config/mirror-schema.ts';
import { closest, type Problem } from '../../config/problems.ts';
import type { Control } from '../../control/api.ts';
import { IsthmusError } from '../../errors.ts';
import type { LinkSpec, MirrorSpec } from '../../model/mirror-spec.ts';
import type { MirrorKey } from '../../spi/state-store.ts';
import { type HttpDeps, json, mirrorParameters, type Operation } from '../api.ts';
import { announcesBody, readJsonBody, sentSchema } from '../body.ts';
import { RequestProblems } from '../problem.ts';
import { laneView, mirrorView, viewLane, viewMirror } from '../views.ts';

const PATH = '/v1/mirrors/{link}/{mirror}';

/** Schemas that come from the one of the configuration file. */
export function mirrorComponents(): Readonly<Record<string, object>> {
  const named = mirrorSchema.extend({
    link: z.string().meta({ description: 'The link that the mirror belongs to.', examples: ['east-west'] }),
    name: z.string().meta({ description: 'Name of the mirror in its link.', examples: ['orders'] }),
  });
  const change = z.strictObject(
    Object.fromEntries(
      Object.entries(mirrorSchema.shape).map(([field, schema]) => [field, (schema as z.ZodType).nullable().optional()]),
    ),
  );
  return { NewMirror: sentSchema(named), MirrorChange: sentSchema(change) };
}

function contextOf({ control, state }: HttpDeps, link: LinkSpec | undefined): MirrorContext {
  const typeOf = (name: string | undefined): MirrorContext['source'] | undefined =>
    control.clusters().find((cluster) => cluster.name === name)?.type;
  return { source: typeOf(link?.from) ?? 'rocketmq', target: typeOf(link?.to) ?? 'pulsar', state };
}

function linkProblems(link: unknown, links: readonly LinkSpec[]): Problem[] {
  if (links.some(({ name }) => name === link)) return [];
  const names = links.map(({ name }) => name);
  if (typeof link !== 'string')
    return [
      {
        path: 'link',
        message: link === undefined ? 'is missing; it must be a text' : 'must be a text',
        hint: `the links are: ${names.join(', ')}`,
      },
    ];
  const guess = closest(link, names);
  return [
    {
      path: 'link',
      message: 'must be the name of a link',
      hint: guess === undefined ? `the links are: ${names.join(', ')}` : `did you mean "${guess}"?`,
    },
  ];
}

/** Validates the body of a new mirror. Throws RequestProblems with all of them. */
function newMirror(deps: HttpDeps, body: Readonly<Record<string, unknown>>): { link: string; spec: MirrorSpec } {
  const { link, name, ...fields } = body;
  const nameProblems: Problem[] =
    typeof name === 'string'
      ? []
      : [{ path: 'name', message: name === undefined ? 'is missing; it must be a text' : 'must be a text' }];
  const { links } = deps;
  const known = links.find((entry) => entry.name === link);
  // A name that is no text has its problem already.
  const result = parseMirrorSpec(typeof name === 'string' ? name : 'unnamed', fields, contextOf(deps, known));
  if (known !== undefined && nameProblems.length === 0 && 'spec' in result) return { link: known.name, spec: result.spec };
  throw new RequestProblems('adding a mirror', [
    ...linkProblems(link, links),
    ...nameProblems,
    ...('problems' in result ? result.problems : []),
  ]);
}

/** The mirror after a change: fields of the body replace those of the mirror, null brings back the default. */
function changedMirror(deps: HttpDeps, key: MirrorKey, body: Readonly<Record<string, unknown>>): MirrorSpec {
  const { spec } = deps.control.mirror(key);
  const link = deps.links.find((entry) => entry.name === key.link);
  const fields = { ...formatMirrorSpec(spec), ...body };
  const result = parseMirrorSpec(
    spec.name,
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)),
    contextOf(deps, link),
  );
  if ('spec' in result) return result.spec;
  throw new RequestProblems('changing a mirror', result.problems);
}

const EXAMPLE = { link: 'east-west', name: 'refunds', topics: ['refunds-*'], start: 'earliest', filter: { tags: ['paid'] } };

function collectionOperations(deps: HttpDeps): Operation[] {
  const { control } = deps;
  return [
    {
      method: 'get',
      path: '/v1/mirrors',
      tag: 'mirrors',
      summary: 'All mirrors',
      responses: {
        200: { description: 'Of the file and added at runtime.', schema: z.strictObject({ mirrors: z.array(mirrorView) }) },
      },
      handle: () => json({ mirrors: control.mirrors().map(viewMirror) }),
    },
    {
      method: 'post',
      path: '/v1/mirrors',
      tag: 'mirrors',
      summary: 'Adds a mirror',
      description:
        'It starts at once and survives a restart. A mirror that could take a topic of another one of its link is refused.',
      body: { schema: { $ref: '#/components/schemas/NewMirror' }, example: EXAMPLE },
      refusals: [400, 404, 409, 413, 415, 503],
      responses: { 201: { description: 'Added; Location names it.', schema: mirrorView } },
      handle: async (context) => {
        const { link, spec } = newMirror(deps, await readJsonBody(context));
        const added = await control.addMirror(link, spec);
        return json(viewMirror(added), 201, { Location: `/v1/mirrors/${link}/${spec.name}` });
      },
    },
  ];
}

function memberOperations(deps: HttpDeps): Operation[] {
  const { control } = deps;
  return [
    {
      method: 'get',
      path: PATH,
      tag: 'mirrors',
      summary: 'One mirror',
      refusals: [404],
      responses: { 200: { description: 'The mirror.', schema: mirrorView } },
      handle: (context) => json(viewMirror(control.mirror(mirrorParameters(context)))),
    },
    {
      method: 'patch',
      path: PATH,
      tag: 'mirrors',
      summary: 'Changes a mirror that was added at runtime',
      description: 'Each field given replaces the old one as a whole; null brings back its default.',
      body: {
        schema: { $ref: '#/components/schemas/MirrorChange' },
        example: { filter: { tags: ['paid', 'refunded'] }, compression: null },
      },
      refusals: [400, 404, 409, 413, 415, 503],
      responses: { 200: { description: 'Changed.', schema: mirrorView } },
      handle: async (context) => {
        const key = mirrorParameters(context);
        const body = await readJsonBody(context);
        return json(viewMirror(await control.changeMirror(key, changedMirror(deps, key, body))));
      },
    },
    {
      method: 'delete',
      path: PATH,
      tag: 'mirrors',
      summary: 'Deletes a mirror that was added at runtime',
      description: 'Its state is forgotten. The topics that it made on the target stay.',
      refusals: [404, 409, 503],
      responses: { 204: { description: 'Deleted.' } },
      handle: async (context) => {
        await control.deleteMirror(mirrorParameters(context));
        return new Response(null, { status: 204 });
      },
    },
    {
      method: 'get',
      path: `${PATH}/lanes`,
      tag: 'mirrors',
      summary: 'The lanes of a mirror',
      description: 'State, positions, lag and last error of each.',
      refusals: [404],
      responses: { 200: { description: 'Its lanes now.', schema: z.strictObject({ lanes: z.array(laneView) }) } },
      handle: (context) => json({ lanes: control.lanes(mirrorParameters(context)).map(viewLane) }),
    },
  ];
}

function verbOperation(verb: 'pause' | 'resume' | 'restart', summary: string, run: Control['pauseMirror']): Operation {
  return {
    method: 'post',
    path: `${PATH}/${verb}`,
    tag: 'mirrors',
    summary,
    description: 'Takes no body.',
    refusals: [400, 404, 409, 503],
    responses: { 200: { description: 'Done; the mirror as it is now.', schema: mirrorView } },
    handle: async (context) => {
      const key = mirrorParameters(context);
      if (announcesBody(context.req.raw.headers) && Object.keys(await readJsonBody(context)).length > 0) {
        throw new IsthmusError('INVALID_REQUEST', `reading the request body: ${verb} takes none`);
      }
      return json(viewMirror(await run(key)));
    },
  };
}

/** The mirrors: what people add, pause and drain. */
export function mirrorOperations(deps: HttpDeps): Operation[] {
  const { control } = deps;
  return [
    ...collectionOperations(deps),
    ...memberOperations(deps),
    verbOperation('pause', 'Pauses a mirror', (key) => control.pauseMirror(key)),
    verbOperation('resume', 'Lets a paused mirror go on', (key) => control.resumeMirror(key)),
    verbOperation('restart', 'Closes and reopens all lanes, also stopped ones', (key) => control.restartMirror(key)),
  ];
}
