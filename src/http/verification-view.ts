import { z } from '@hono/zod-openapi';
import type { DifferenceStatus, VerificationStatus } from '../control/verification/api.ts';
import { isoTime, time, troubleView, viewTrouble } from './views.ts';

const count = z.int().min(0);
const topics = z.array(z.string());

const counts = z.strictObject({
  missing: count.meta({ description: 'The source has them, the target has not.' }),
  doubled: count.meta({ description: 'The target has them more than once.' }),
  changed: count.meta({ description: 'The target has them with another key, body or property.' }),
  reordered: count.meta({ description: 'The target has them after a later record of the same key.' }),
  unexpected: count.meta({
    description:
      'The target has records of these lanes that the source has not, or that the mirror leaves out now. That alone is no difference.',
  }),
});

const place = z.strictObject({ lane: z.string(), position: z.string() });

const difference = z
  .strictObject({
    kind: z.enum(['missing', 'doubled', 'changed', 'reordered', 'unexpected']),
    topic: z.string().meta({ description: 'Source topic.' }),
    lane: z.string().meta({ description: 'Source lane.', examples: ['broker-a:3'] }),
    position: z.string().meta({ description: 'In the source.', examples: ['125000'] }),
    time: time.nullable().meta({ description: 'When the source stored it; null where the source has it not.' }),
    target: z.array(place).meta({ description: 'Where the target has it: at most eight places.' }),
    behind: z.string().nullable().meta({ description: 'Of a reordered record: the later one of its key that comes before it.' }),
    mayHaveExpired: z
      .boolean()
      .meta({ description: 'Of a missing record: the target may have had and deleted it. Such a record is never repaired.' }),
  })
  .openapi('Difference');

const verification = z
  .strictObject({
    id: z.string(),
    link: z.string(),
    mirror: z.string(),
    state: z.enum(['running', 'equal', 'different', 'failed', 'cancelled']),
    phase: z.enum(['preparing', 'reading-source', 'reading-target', 'comparing', 'repairing', 'done']),
    startedAt: time,
    endedAt: time.nullable(),
    from: time.nullable(),
    to: time.nullable(),
    repair: z.boolean(),
    topics: topics.meta({ description: 'Source topics that are compared.' }),
    progress: z.strictObject({
      topic: z.string().meta({ description: 'The one that is compared now.' }),
      topicsDone: count,
      sourceRecords: count,
      sourceTotal: count
        .nullable()
        .meta({ description: 'Of how many in the topics so far; null where the cluster does not count them.' }),
      targetRecords: count,
      blocks: count.meta({ description: 'Stretches of about a thousand records.' }),
      unequalBlocks: count.meta({ description: 'Those that are compared record by record.' }),
      comparedRecords: count,
    }),
    counts,
    mayHaveExpired: count.meta({ description: 'How many of the missing ones the target may have had and deleted.' }),
    absences: z.record(z.string(), count).meta({
      description: 'Records without a copy that need none, by reason.',
      examples: [{ tag: 120, expired: 5_000 }],
    }),
    minutes: z
      .array(z.strictObject({ minute: time, counts }))
      .meta({ description: 'Differences per minute in which the source stored the records; at most 1,440.' }),
    differences: z.array(difference).meta({ description: 'The first 250 of each kind; `counts` has all.' }),
    repaired: z
      .strictObject({
        stored: count.meta({ description: 'Sent and stored.' }),
        found: count.meta({ description: 'In the target after all; not sent.' }),
        left: count.meta({ description: 'Not sent: gone from the source, refused by the target, or not reached.' }),
      })
      .nullable(),
    notes: z.array(z.string()).meta({ description: 'What could not be compared, and why.' }),
    trouble: troubleView.nullable(),
  })
  .openapi('Verification');

export const verificationView: z.ZodType = verification;

function viewDifference({ time: stored, target, ...rest }: DifferenceStatus): z.output<typeof difference> {
  return { ...rest, time: stored === null ? null : isoTime(stored), target: target.map((each) => ({ ...each })) };
}

export function viewVerification(status: VerificationStatus): object {
  const { id, request, state, phase, mayHaveExpired, absences, progress, repair } = status;
  const moment = (millis: number | null | undefined): string | null =>
    millis === undefined || millis === null ? null : isoTime(millis);
  const view: z.output<typeof verification> = {
    id,
    link: request.key.link,
    mirror: request.key.mirror,
    state,
    phase,
    startedAt: isoTime(status.startedAt),
    endedAt: moment(status.endedAt),
    from: moment(request.from),
    to: moment(request.to),
    repair: request.repair,
    topics: [...status.topics],
    progress,
    counts: status.counts,
    mayHaveExpired,
    absences: { ...absences },
    minutes: status.minutes.map((each) => ({ minute: isoTime(each.minute), counts: each.counts })),
    differences: status.differences.map(viewDifference),
    repaired: repair,
    notes: [...status.notes],
    trouble: viewTrouble(status.trouble),
  };
  return view;
}
