import { OpenAPIHono, z } from '@hono/zod-openapi';
import { IsthmusError } from '../errors.ts';
import { type HttpDeps, json, mount, type Operation } from './api.ts';
import { type ApiEnv, guard, logFailure, observe, problemResponse } from './guard.ts';
import { clusterOperations } from './routes/clusters.ts';
import { failbackComponents, failbackOperations } from './routes/failback.ts';
import { failoverComponents, failoverOperations } from './routes/failover.ts';
import { groupComponents, groupOperations } from './routes/groups.ts';
import { mirrorComponents, mirrorOperations } from './routes/mirrors.ts';
import { processOperations } from './routes/process.ts';
import { replayComponents, replayOperations } from './routes/replays.ts';
import { verificationComponents, verificationOperations } from './routes/verifications.ts';

export type HttpApp = OpenAPIHono<ApiEnv>;

function describe(app: HttpApp, version: string): object {
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    description: 'A token of http.tokens in the configuration.',
  });
  for (const [name, schema] of Object.entries({
    ...mirrorComponents(),
    ...failoverComponents,
    ...groupComponents,
    ...failbackComponents,
    ...replayComponents,
    ...verificationComponents,
  }))
    app.openAPIRegistry.registerComponent('schemas', name, schema);
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Isthmus',
      version,
      license: { name: 'Apache-2.0' },
      description:
        'Mirrors topics between clusters. Every error is application/problem+json with a stable code; changes are made only by POST, PATCH and DELETE.',
    },
    security: [{ token: [] }],
    tags: [
      { name: 'mirrors', description: 'Which topics of a link are mirrored, under which names, with which rules.' },
      { name: 'groups', description: 'Consumer groups and subscriptions that follow their topics.' },
      { name: 'verifications', description: 'Whether source and target of a mirror hold the same.' },
      { name: 'clusters', description: 'What is there, as the cluster itself says.' },
      { name: 'process', description: 'Health, readiness and metrics.' },
    ],
  });
}

/** The HTTP API. */
export function createHttpApp(deps: HttpDeps): HttpApp {
  const app: HttpApp = new OpenAPIHono<ApiEnv>();
  // Made when somebody asks for it: to describe all this takes a tenth of a start.
  let document: object | undefined;
  const openapi: Operation = {
    method: 'get',
    path: '/openapi.json',
    tag: 'process',
    summary: 'This document',
    open: true,
    responses: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({ openapi: z.string() }) } },
    handle: () => json((document ??= describe(app, deps.version))),
  };
  const operations = [
    ...mirrorOperations(deps),
    ...replayOperations(deps),
    ...verificationOperations(deps),
    ...groupOperations(deps),
    ...failoverOperations(deps),
    ...failbackOperations(deps),
    ...clusterOperations(deps),
    ...processOperations(deps),
    openapi,
  ];
  const publicPaths = new Set(operations.filter((operation) => operation.open === true).map((operation) => operation.path));
  app.onError((error, context) => {
    logFailure(deps.log, context, error);
    return problemResponse(context, error);
  });
  app.use(observe(deps.log, deps.clock));
  app.use(guard(deps.http.tokens, publicPaths));
  mount(app, deps.clock, operations);
  app.notFound((context) =>
    problemResponse(context, new IsthmusError('NOT_FOUND', 'serving a request: there is no such path; /openapi.json lists all')),
  );
  return app;
}
