import { z } from '@hono/zod-openapi';
import { IsthmusError } from '../../errors.ts';
import { type ApiContext, type HttpDeps, json, nameParameter, type Operation } from '../api.ts';
import { checkView, clusterView, topicView, viewCheck, viewCluster, viewTopic } from '../views.ts';

const MAX_TOPIC_NAME = 512;

function topicParameter(context: ApiContext): string {
  const topic = context.req.param('topic') ?? '';
  if (topic === '' || topic.length > MAX_TOPIC_NAME || /[\u0000-\u001f\u007f]/.test(topic)) {
    throw new IsthmusError('NOT_FOUND', 'looking for a topic: there is none of this name');
  }
  return topic;
}

/** The clusters, as they say themselves. */
export function clusterOperations({ control }: HttpDeps): Operation[] {
  const refusals = [404, 502, 503, 504] as const;
  return [
    {
      method: 'get',
      path: '/v1/clusters',
      tag: 'clusters',
      summary: 'All clusters, and whether they can be reached',
      responses: {
        200: { description: 'The clusters of the configuration.', schema: z.strictObject({ clusters: z.array(clusterView) }) },
      },
      handle: () => json({ clusters: control.clusters().map(viewCluster) }),
    },
    {
      method: 'get',
      path: '/v1/clusters/{cluster}/check',
      tag: 'clusters',
      summary: 'Tries what a mirror needs of the cluster',
      refusals,
      responses: { 200: { description: 'What was tried; `ok` is false when something is wrong.', schema: checkView } },
      handle: async (context) => json(viewCheck(await control.checkCluster(nameParameter(context, 'cluster')))),
    },
    {
      method: 'get',
      path: '/v1/clusters/{cluster}/topics',
      tag: 'clusters',
      summary: 'The topics of a cluster',
      description: 'Without system, retry and dead-letter topics.',
      refusals,
      responses: { 200: { description: 'Names, sorted.', schema: z.strictObject({ topics: z.array(z.string()) }) } },
      handle: async (context) => json({ topics: await control.topics(nameParameter(context, 'cluster')) }),
    },
    {
      method: 'get',
      path: '/v1/clusters/{cluster}/topics/{topic}',
      tag: 'clusters',
      summary: 'One topic with its lanes',
      description: 'Percent-encode the name: %2F for a slash.',
      refusals,
      responses: { 200: { description: 'The topic as its cluster describes it.', schema: topicView } },
      handle: async (context) => json(viewTopic(await control.topic(nameParameter(context, 'cluster'), topicParameter(context)))),
    },
  ];
}
