import { z } from '@hono/zod-openapi';
import { formatMirrorSpec } from '../config/mirror-schema.ts';
import type { ClusterStatus, LaneStatus, MirrorStatus, ProcessStatus, TopicListing } from '../control/api.ts';
import type { Trouble } from '../control/trouble.ts';
import { ERROR_CODES } from '../errors.ts';
import { formatPosition } from '../model/position.ts';
import type { CheckItem } from '../spi/cluster.ts';

/** How things look from outside. Times are ISO 8601, positions are texts, durations are in seconds. */

export const isoTime = (millis: number): string => new Date(millis).toISOString();
export const time: z.ZodISODateTime = z.iso.datetime().meta({ examples: ['2026-11-01T12:00:00.000Z'] });
const count = z.int().min(0);

const trouble = z
  .strictObject({
    code: z.string().meta({ description: 'Stable code of the error.', examples: Object.keys(ERROR_CODES).slice(0, 3) }),
    message: z.string(),
    since: time,
  })
  .openapi('Trouble');

export interface TroubleView {
  code: string;
  message: string;
  since: string;
}

export const troubleView: z.ZodType<TroubleView> = trouble;

export function viewTrouble(value: Trouble | null): TroubleView | null {
  return value === null ? null : { code: value.code, message: value.message, since: isoTime(value.since) };
}

const lag = {
  lagRecords: z
    .number()
    .nullable()
    .meta({ description: 'Records that the source has and the target has not; null when unknown.' }),
  lagSeconds: z
    .number()
    .nullable()
    .meta({ description: 'Age of the oldest record that is not stored yet; 0 when there is none, null when unknown.' }),
};

const mirror = z
  .strictObject({
    link: z.string(),
    name: z.string(),
    definedBy: z
      .enum(['file', 'api'])
      .meta({ description: 'file: in the configuration file; it can be paused, but not changed or deleted here.' }),
    from: z.string().meta({ description: 'Source cluster.' }),
    to: z.string().meta({ description: 'Target cluster.' }),
    state: z.enum(['starting', 'running', 'waiting', 'paused', 'stopped', 'failed']).meta({
      description: 'waiting goes on by itself; stopped and failed need somebody.',
    }),
    trouble: trouble.nullable(),
    spec: z
      .looseObject({ topics: z.array(z.string()) })
      .meta({ description: 'The mirror as it can be written in the file or sent again, with its defaults.' }),
    matchedTopics: z.array(z.string()).meta({ description: 'Source topics that are mirrored now.' }),
    lanes: z.strictObject({ total: count, running: count, waiting: count, stopped: count }),
    ...lag,
  })
  .openapi('Mirror');

export const mirrorView: z.ZodType = mirror;

export function viewMirror(status: MirrorStatus): object {
  const { link, definedBy, from, to, state, topics, lanes, lagRecords, lagSeconds, spec } = status;
  const view: z.output<typeof mirror> = {
    link,
    name: spec.name,
    definedBy,
    from,
    to,
    state,
    trouble: viewTrouble(status.trouble),
    spec: { ...formatMirrorSpec(spec), topics: [...spec.topics] },
    matchedTopics: [...topics],
    lanes,
    lagRecords,
    lagSeconds,
  };
  return view;
}

const lane = z
  .strictObject({
    topic: z.string().meta({ description: 'Source topic.' }),
    lane: z.string().meta({ description: 'RocketMQ: broker:queue. Pulsar: partition.', examples: ['broker-a:3'] }),
    targetTopic: z.string(),
    targetPartitions: z.array(z.int()),
    state: z.enum(['starting', 'recovering', 'running', 'waiting', 'paused', 'stopped']),
    next: z
      .string()
      .nullable()
      .meta({ description: 'Everything before this source position is stored in the target.', examples: ['125000'] }),
    source: z
      .strictObject({ begin: z.string(), end: z.string() })
      .nullable()
      .meta({ description: 'Where the lane begins and ends at the source.' }),
    target: z
      .record(z.string(), z.string())
      .meta({ description: 'Newest stored position per target partition.', examples: [{ 3: '812:45' }] }),
    ...lag,
    recordsStored: count,
    recordsDropped: count.meta({ description: 'Left out by the filter, or because they came from the target.' }),
    deadLetters: count,
    windowInForce: z.boolean().nullable().meta({
      description: 'Whether records are checked in a dedup window now; null where the mirror has none or the lane does not run.',
    }),
    gaps: z
      .array(z.strictObject({ from: z.string(), to: z.string(), reason: z.string(), at: time }))
      .meta({ description: 'Stretches that the source itself no longer had.' }),
    trouble: trouble.nullable(),
  })
  .openapi('Lane');

export const laneView: z.ZodType = lane;

export function viewLane(status: LaneStatus): object {
  const view: z.output<typeof lane> = {
    ...status,
    targetPartitions: [...status.targetPartitions],
    gaps: status.gaps.map((gap) => ({ ...gap, at: isoTime(gap.at) })),
    trouble: viewTrouble(status.trouble),
  };
  return view;
}

const cluster = z
  .strictObject({
    name: z.string(),
    type: z.enum(['rocketmq', 'pulsar']),
    region: z.string(),
    reachable: z.boolean(),
    trouble: trouble.nullable(),
  })
  .openapi('Cluster');

export const clusterView: z.ZodType = cluster;

export function viewCluster(status: ClusterStatus): object {
  const view: z.output<typeof cluster> = { ...status, trouble: viewTrouble(status.trouble) };
  return view;
}

const topic = z
  .strictObject({
    topic: z.string(),
    lanes: z.array(
      z.strictObject({
        lane: z.string(),
        readable: z.boolean(),
        writable: z.boolean(),
        begin: z.string().nullable().meta({ description: 'Oldest position.' }),
        end: z.string().nullable().meta({ description: 'Position that the next record gets.' }),
      }),
    ),
    settings: z.record(z.string(), z.string()).meta({ description: 'What else the cluster says of the topic.' }),
  })
  .openapi('Topic');

export const topicView: z.ZodType = topic;

export function viewTopic({ description, extents }: TopicListing): object {
  const view: z.output<typeof topic> = {
    topic: description.topic,
    lanes: description.lanes.map(({ lane: name, readable, writable }) => {
      const extent = extents.get(name);
      return {
        lane: name,
        readable,
        writable,
        begin: extent === undefined ? null : formatPosition(extent.begin),
        end: extent === undefined ? null : formatPosition(extent.end),
      };
    }),
    settings: { ...description.settings },
  };
  return view;
}

const check = z
  .strictObject({
    ok: z.boolean(),
    items: z.array(
      z.strictObject({
        what: z.string(),
        ok: z.boolean(),
        detail: z.string(),
        note: z.enum(['warning', 'info']).optional().meta({ description: 'Nothing is broken, but it is worth knowing.' }),
      }),
    ),
  })
  .openapi('Check');

export const checkView: z.ZodType = check;

export function viewCheck(items: readonly CheckItem[]): object {
  const view: z.output<typeof check> = {
    ok: items.every((item) => item.ok),
    items: items.map(({ what, ok, detail, note }) => ({ what, ok, detail, ...(note === undefined ? {} : { note }) })),
  };
  return view;
}

const process = z
  .strictObject({
    region: z.string(),
    version: z.string(),
    startedAt: time,
    stateAvailable: z.boolean().meta({ description: 'Whether the state store answers; mirrors go on without it.' }),
    ready: z.boolean(),
    reasons: z.array(z.string()).meta({ description: 'What keeps it from being ready.' }),
  })
  .openapi('Process');

export const processView: z.ZodType = process;

export function viewProcess(status: ProcessStatus): object {
  const view: z.output<typeof process> = { ...status, startedAt: isoTime(status.startedAt), reasons: [...status.reasons] };
  return view;
}
