import type { OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { nameProblem } from '../config/fields.ts';
import type { HttpConfig, StateConfig } from '../config/types.ts';
import type { Control } from '../control/api.ts';
import { IsthmusError } from '../errors.ts';
import type { LinkSpec } from '../model/mirror-spec.ts';
import type { Clock } from '../spi/clock.ts';
import type { Log } from '../spi/log.ts';
import type { MirrorKey } from '../spi/state-store.ts';
import type { ApiEnv } from './guard.ts';
import { problemSchema } from './problem.ts';

export interface HttpDeps {
  readonly control: Control;
  readonly links: readonly LinkSpec[];
  readonly metrics: { render(): Promise<string>; readonly contentType: string };
  readonly http: Pick<HttpConfig, 'tokens' | 'metrics'>;
  /** Where the state is: it decides on a default of mirrors. */
  readonly state: StateConfig['kind'];
  readonly log: Log;
  readonly clock: Clock;
  readonly version: string;
}

export type ApiContext = Context<ApiEnv>;

/** A schema of the document by its name, or a zod schema. */
type BodySchema = z.ZodType | { readonly $ref: string };

/** One operation: how it is documented and what it does. */
export interface Operation {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  /** With `{name}` for parameters; each is described in PARAMETERS. */
  readonly path: string;
  readonly tag: 'mirrors' | 'groups' | 'verifications' | 'clusters' | 'process';
  readonly summary: string;
  readonly description?: string;
  /** Parameters of the query; all are required. */
  readonly query?: Readonly<Record<string, { readonly description: string; readonly example: string }>>;
  readonly body?: { readonly schema: BodySchema; readonly example: unknown };
  /** Answers by status; `undefined` has no body. Errors are added for all operations alike. */
  readonly responses: Readonly<
    Record<
      number,
      { readonly description: string; readonly schema?: BodySchema; readonly type?: string; readonly example?: unknown }
    >
  >;
  /** Which refusals besides 401, 403 and 500 the caller has to expect. */
  readonly refusals?: readonly (400 | 404 | 409 | 413 | 415 | 502 | 503 | 504)[];
  /** Needs no token. */
  readonly open?: boolean;
  readonly handle: (context: ApiContext) => Response | Promise<Response>;
}

const PARAMETERS: Readonly<Record<string, { readonly description: string; readonly example: string }>> = {
  cluster: { description: 'Name of a cluster.', example: 'rmq-east' },
  topic: { description: 'Name of a topic, percent-encoded.', example: 'orders-eu' },
  link: { description: 'Name of a link.', example: 'east-west' },
  mirror: { description: 'Name of a mirror.', example: 'orders' },
  group: { description: 'Name of a consumer group or subscription, percent-encoded.', example: 'billing' },
  id: { description: 'What POST has answered.', example: '1-k3x9qa' },
};

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'The request is not understood; `problems` lists everything.',
  401: 'No valid token.',
  403: 'The token may only read, or the request comes from a page of another site.',
  404: 'No such thing.',
  409: 'It does not fit what is there.',
  413: 'The body is too large.',
  415: 'The body is not JSON.',
  500: 'A defect in Isthmus; the log says more.',
  502: 'The cluster refuses, or cannot be reached.',
  503: 'The state store or the cluster does not answer for now.',
  504: 'The cluster did not answer in time.',
};

/** A read from a cluster ends by then, so that no connection to us hangs on one to a broker. */
const DEADLINE_MILLIS = 25_000;

async function withDeadline(clock: Clock, work: Response | Promise<Response>): Promise<Response> {
  const { promise, reject } = Promise.withResolvers<never>();
  const cancel = clock.timer(DEADLINE_MILLIS, () => {
    reject(
      new IsthmusError(
        'REQUEST_TIMEOUT',
        `serving a request: it took more than ${DEADLINE_MILLIS / 1000} s; whether it had an effect shows later`,
      ),
    );
  });
  try {
    return await Promise.race([work, promise]);
  } finally {
    cancel();
  }
}

function parametersOf({ path, query = {} }: Operation): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
    ...PARAMETERS[name],
  }));
  const inQuery = Object.entries(query).map(([name, about]) => ({
    name,
    in: 'query',
    required: true,
    schema: { type: 'string' },
    ...about,
  }));
  return [...inPath, ...inQuery];
}

function document(app: OpenAPIHono<ApiEnv>, operation: Operation): void {
  const refusals = [...(operation.open === true ? [] : [401, 403]), ...(operation.refusals ?? []), 500];
  const problem = { 'application/problem+json': { schema: problemSchema } };
  const answers = Object.entries(operation.responses).map(
    ([status, { description, schema, type = 'application/json', example }]) => {
      const content =
        schema === undefined ? {} : { content: { [type]: { schema, ...(example === undefined ? {} : { example }) } } };
      return [status, { description, ...content }] as const;
    },
  );
  const errors = refusals.map((status) => [String(status), { description: REFUSALS[status] ?? '', content: problem }] as const);
  const { body } = operation;
  app.openAPIRegistry.registerPath({
    method: operation.method,
    path: operation.path,
    tags: [operation.tag],
    summary: operation.summary,
    operationId: `${operation.method} ${operation.path}`.replace(/\W+(\w)?/g, (_, letter: string | undefined) =>
      (letter ?? '').toUpperCase(),
    ),
    ...(operation.description === undefined ? {} : { description: operation.description }),
    ...(operation.open === true ? { security: [] } : {}),
    parameters: parametersOf(operation) as never,
    ...(body === undefined
      ? {}
      : {
          request: {
            body: {
              required: true,
              content: { 'application/json': { schema: body.schema as z.ZodType, example: body.example } },
            },
          },
        }),
    responses: Object.fromEntries([...answers, ...errors]) as never,
  });
}

/** Serves and documents operations; every other method on their paths is refused with what is allowed. */
export function mount(app: OpenAPIHono<ApiEnv>, clock: Clock, operations: readonly Operation[]): void {
  const methods = new Map<string, string[]>();
  for (const operation of operations) {
    document(app, operation);
    const path = operation.path.replace(/\{(\w+)\}/g, ':$1');
    methods.set(path, [...(methods.get(path) ?? []), operation.method.toUpperCase()]);
    app.on(operation.method.toUpperCase(), path, (context) => withDeadline(clock, operation.handle(context)));
  }
  for (const [path, allowed] of methods) {
    const list = [...allowed, ...(allowed.includes('GET') ? ['HEAD'] : [])].join(', ');
    app.all(path, (context) => {
      context.header('Allow', list);
      throw new IsthmusError('METHOD_NOT_ALLOWED', `serving a request: this path knows ${list}`);
    });
  }
}

/** A name in the path. What cannot be a name is not there, whatever tricks it holds. Throws NOT_FOUND. */
export function nameParameter(context: ApiContext, parameter: 'cluster' | 'link' | 'mirror'): string {
  const name = context.req.param(parameter) ?? '';
  if (nameProblem(name) !== undefined)
    throw new IsthmusError('NOT_FOUND', `looking for a ${parameter}: there is none of this name`);
  return name;
}

/** The mirror that the path names. Throws NOT_FOUND. */
export function mirrorParameters(context: ApiContext): MirrorKey {
  return { link: nameParameter(context, 'link'), mirror: nameParameter(context, 'mirror') };
}

export function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'Content-Type': 'application/json', ...headers } });
}
