import { z } from '@hono/zod-openapi';
import {
  FAILOVER_STEPS,
  type FailoverCertificate,
  type FailoverPlan,
  type FailoverStatus,
  type StepStatus,
} from '../control/failover/api.ts';
import { groupState, groupView, placeKind, viewGroup } from './group-view.ts';
import { isoTime, time, troubleView, viewTrouble } from './views.ts';

const kind = z.enum(['planned', 'unplanned']).meta({
  description:
    'planned: both regions are there; nothing is lost, nothing read again. unplanned: the source is gone; what it had beyond the last that was seen stays behind.',
});

const lane = z.strictObject({
  mirror: z.string(),
  topic: z.string(),
  lane: z.string(),
  next: z.string().nullable().meta({ description: 'Everything before is in the target.' }),
  end: z.string().nullable().meta({ description: 'Where the source ended when it was last asked.' }),
  records: z.number().nullable().meta({ description: 'Records between the two; null when they cannot be counted.' }),
});

const plan = z
  .strictObject({
    link: z.string(),
    from: z.string(),
    to: z.string(),
    kind,
    at: time,
    sourceAt: time.meta({ description: 'When the source was last asked with success.' }),
    sourceAway: z.string().nullable().meta({ description: 'Why it could not be asked now.' }),
    groups: z.array(groupView),
    atRisk: z.array(lane).meta({ description: 'Lanes that the target is behind in, or of which that is not known.' }),
    blockers: z.array(z.string()).meta({ description: 'What keeps a failover of this kind from being begun.' }),
    pending: z.array(z.string()).meta({
      description:
        'What is not known yet because the mirrors lag: a planned failover waits for it, 60 s at most, before it changes anything.',
    }),
    warnings: z.array(z.string()),
  })
  .openapi('FailoverPlan');

const placed = z.strictObject({
  kind: placeKind,
  rereads: z.number().nullable(),
  atLeast: z.boolean().meta({
    description:
      'More may be read again: what the group did after the source was last seen, or had done of records that were still to come to the target.',
  }),
});

const certificate = z
  .strictObject({
    kind,
    startedAt: time,
    endedAt: time,
    groups: z.array(
      z.strictObject({
        group: z.string(),
        targetGroup: z.string(),
        topic: z.string(),
        targetTopic: z.string(),
        predicted: placed.nullable().meta({ description: 'As the plan said.' }),
        actual: placed.meta({ description: 'As it was when the target was released.' }),
        state: groupState,
      }),
    ),
    recordsLeftBehind: z
      .number()
      .nullable()
      .meta({ description: 'Records that the source has and the target has not; null when nobody can know.' }),
    leftBehind: z.array(lane),
    unseenSeconds: z.number().meta({
      description: 'So long before the end the source was last seen: the most recent records may be missing. 0 when it answered.',
    }),
    pausedMirrors: z.array(z.string()).meta({ description: 'So that what the lost side still has does not come unasked.' }),
  })
  .openapi('FailoverCertificate');

const step = z.enum(FAILOVER_STEPS);

const status = z
  .strictObject({
    id: z.string(),
    link: z.string(),
    kind,
    state: z.enum(['running', 'done', 'failed', 'aborted']),
    step,
    steps: z.array(z.strictObject({ step, startedAt: time, endedAt: time.nullable(), detail: z.string() })),
    plan,
    certificate: certificate.nullable(),
    trouble: troubleView.nullable(),
  })
  .openapi('Failover');

export const planView: z.ZodType = plan;
export const failoverView: z.ZodType = status;

export function viewPlan(value: FailoverPlan): object {
  return { ...value, at: isoTime(value.at), sourceAt: isoTime(value.sourceAt), groups: value.groups.map(viewGroup) };
}

function viewStep(step: StepStatus): object {
  return { ...step, startedAt: isoTime(step.startedAt), endedAt: step.endedAt === null ? null : isoTime(step.endedAt) };
}

function viewCertificate({ unseenMillis, startedAt, endedAt, ...rest }: FailoverCertificate): object {
  return { ...rest, startedAt: isoTime(startedAt), endedAt: isoTime(endedAt), unseenSeconds: unseenMillis / 1_000 };
}

export function viewFailover(value: FailoverStatus): object {
  return {
    ...value,
    steps: value.steps.map(viewStep),
    plan: viewPlan(value.plan),
    certificate: value.certificate === null ? null : viewCertificate(value.certificate),
    trouble: viewTrouble(value.trouble),
  };
}
