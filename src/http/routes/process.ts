import { z } from '@hono/zod-openapi';
import { type HttpDeps, json, type Operation } from '../api.ts';
import { processView, viewProcess } from '../views.ts';

const readiness = z.strictObject({ ready: z.boolean(), reasons: z.array(z.string()) });

/** Health, readiness, metrics and the process itself. */
export function processOperations({ control, metrics, http }: HttpDeps): Operation[] {
  return [
    {
      method: 'get',
      path: '/healthz',
      tag: 'process',
      summary: 'Whether the process is alive',
      description: 'Says nothing about clusters: a process that waits for a broker is alive.',
      open: true,
      responses: { 200: { description: 'Alive.', schema: z.strictObject({ status: z.literal('ok') }) } },
      handle: () => json({ status: 'ok' }),
    },
    {
      method: 'get',
      path: '/readyz',
      tag: 'process',
      summary: 'Whether every wanted lane has an owner and moves',
      description: 'Needs no token; the reasons are told only to those who have one, because they name mirrors and topics.',
      open: true,
      responses: { 200: { description: 'Ready.', schema: readiness }, 503: { description: 'Not ready.', schema: readiness } },
      handle: (context) => {
        const { ready, reasons } = control.status();
        const told =
          context.get('principal') === undefined && reasons.length > 0
            ? [`${reasons.length} reasons; send a token to see them`]
            : reasons;
        return json({ ready, reasons: told }, ready ? 200 : 503);
      },
    },
    {
      method: 'get',
      path: '/metrics',
      tag: 'process',
      summary: 'Metrics for Prometheus',
      open: http.metrics === 'open',
      responses: { 200: { description: 'Prometheus text format.', schema: z.string(), type: 'text/plain' } },
      handle: async () => new Response(await metrics.render(), { headers: { 'Content-Type': metrics.contentType } }),
    },
    {
      method: 'get',
      path: '/v1/status',
      tag: 'process',
      summary: 'The process: version, region, readiness',
      responses: { 200: { description: 'The process.', schema: processView } },
      handle: () => json(viewProcess(control.status())),
    },
  ];
}
