import { isRetryTopic } from '../../config/topic-patterns.ts';
import type { ClusterConfig, Config, LinkConfig } from '../../config/types.ts';
import type { DedupRule, MirrorSpec } from '../../model/mirror-spec.ts';
import { takesTopic, targetTopicOf } from '../../model/topic-name.ts';
import type { CheckItem, Cluster } from '../../spi/cluster.ts';

/** A topic that a mirror takes now, with the name that it gets. */
export interface MirroredTopic {
  readonly source: string;
  readonly target: string;
  readonly refused: string | undefined;
}

export interface MirrorCheck {
  readonly mirror: string;
  /** Source topics that match now; undefined when the source could not be asked. */
  readonly topics: readonly MirroredTopic[] | undefined;
  /** What is in force, and what may be a surprise. */
  readonly notes: readonly CheckItem[];
}

/** More topics are not asked for their message type. */
const MAX_ASKED = 20;
const MINUTE = 60_000;

const note = (kind: 'warning' | 'info', what: string, detail: string): CheckItem => ({ what, ok: true, note: kind, detail });

function duration(millis: number): string {
  return millis % (60 * MINUTE) === 0 ? `${millis / 60 / MINUTE} h` : `${Math.round(millis / MINUTE)} min`;
}

function dedupNote(dedup: DedupRule | undefined): CheckItem {
  if (dedup === undefined)
    return note(
      'info',
      'dedup window',
      'off: exactly once comes from the marks in the target; producers that send twice are not noticed',
    );
  const { windowMillis, maxIds, id, onStateLoss } = dedup;
  const by = id.kind === 'property' ? `the property ${id.name}` : id.kind;
  const loss =
    onStateLoss === 'stop' ? 'it stops while the state is away' : 'it goes on without the window while the state is away';
  return note('info', 'dedup window', `${duration(windowMillis)}, at most ${maxIds} ids per topic, by ${by}; ${loss}`);
}

/** How long the target keeps what is mirrored, as far as the mirror decides on it. */
function retentionNote({ retentionMinutes }: MirrorSpec, target: ClusterConfig['type'] | undefined): CheckItem | undefined {
  if (target !== 'pulsar')
    return note('info', 'retention', 'as long as the brokers of the target keep records (fileReservedTime), read or not');
  return retentionMinutes === undefined
    ? note('warning', 'retention', 'keep: where the namespace sets nothing, Pulsar deletes at once what no subscription holds')
    : note(
        'info',
        'retention',
        `${duration(retentionMinutes * MINUTE)} for topics that the mirror creates, where the namespace sets nothing`,
      );
}

/** RocketMQ's own consumers keep the order of a key only in FIFO topics. */
async function keyOrderNotes(spec: MirrorSpec, topics: readonly MirroredTopic[], target: Cluster): Promise<CheckItem[]> {
  if (spec.routing.mode !== 'key' || target.type !== 'rocketmq') return [];
  const names = [...new Set(topics.map((topic) => topic.target))].slice(0, MAX_ASKED);
  const described = await Promise.all(names.map((name) => target.admin.describeTopic(name).catch(() => undefined)));
  return described.flatMap((topic) => {
    const type = topic?.settings['message.type'];
    if (topic === undefined || type === 'FIFO') return [];
    const detail = `it has message.type=${type ?? 'NORMAL'}: keys are in order in their queue, but consumers through a proxy share out its messages without regard to keys; make it a FIFO topic where that matters`;
    return [note('warning', `order per key in ${topic.topic}`, detail)];
  });
}

/** What a mirror would do now. `known`: the topics of its source, undefined when that could not be asked. */
export async function checkMirror(
  config: Config,
  link: LinkConfig,
  spec: MirrorSpec,
  known: readonly string[] | undefined,
  target: Cluster | undefined,
): Promise<MirrorCheck> {
  const source = config.clusters[link.from]?.type;
  const topics = known
    ?.filter((topic) => takesTopic(spec, topic) && (spec.retryTopics || !isRetryTopic(source ?? 'rocketmq', topic)))
    .map((topic) => {
      const renamed = targetTopicOf(spec, topic);
      return { source: topic, target: renamed, refused: target?.sink?.refusesTopicName(renamed) };
    });
  const merged = topics?.filter(({ target: name }, i) => topics.findIndex((other) => other.target === name) < i) ?? [];
  const notes = [
    dedupNote(spec.dedup),
    retentionNote(spec, config.clusters[link.to]?.type),
    ...merged.map(({ source: topic, target: name }) => ({
      what: `name ${name}`,
      ok: false,
      detail: `${topic} gets the name that another topic of this mirror has: their order would be mixed`,
    })),
    ...(target === undefined ? [] : await keyOrderNotes(spec, topics ?? [], target)),
  ].filter((each) => each !== undefined);
  return { mirror: `${link.name}/${spec.name}`, topics, notes };
}

/** What holds for all mirrors. */
export function checkMarks({ provenance, links }: Config): CheckItem[] {
  const both = links.some((link) => links.some((back) => back.from === link.to && back.to === link.from));
  if (provenance.secrets.length > 0) {
    const unsealed = provenance.acceptUnsealed ? '; marks without a seal count, too (unsealed: accept)' : '';
    return [note('info', 'marks', `sealed with a secret, which every process of every region must share${unsealed}`)];
  }
  const detail = `not sealed: whoever may write to a mirrored topic can forge them (provenance.secret)${both ? ', and with mirrors both ways keep records from going over' : ''}`;
  return [note('info', 'marks', detail)];
}
