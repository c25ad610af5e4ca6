import { isRetryTopic } from '../../config/topic-patterns.ts';
import type { ClusterConfig, Config, LinkConfig } from '../../config/types.ts';
import type { DedupRule, MirrorSpec } from '../../model/mirror-spec.ts';
import { deadLetterTopicOf, takesTopic, targetTopicOf } from '../../model/topic-name.ts';
import { type Capabilities, rulesBeyond } from '../../spi/capabilities.ts';
import type { CheckItem, Cluster } from '../../spi/cluster.ts';

/** A topic that a mirror takes now, with the name that it gets. */
export interface MirroredTopic {
  readonly source: string;
  readonly target: string;
  readonly refused: string | undefined;
  /** Where records go that the target refuses, if that topic has to be there beforehand. */
  readonly deadLetterTopic?: string | undefined;
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

function dedupNote(dedup: DedupRule | undefined, exact: boolean): CheckItem {
  if (dedup === undefined)
    return note(
      'info',
      'dedup window',
      exact
        ? 'off: exactly once comes from the marks in the target; producers that send twice are not noticed'
        : 'off: records that are sent again, by the mirror or by their producers, are not noticed',
    );
  const { windowMillis, maxIds, id, onStateLoss } = dedup;
  const by = id.kind === 'property' ? `the property ${id.name}` : id.kind;
  const loss =
    onStateLoss === 'stop' ? 'it stops while the state is away' : 'it goes on without the window while the state is away';
  return note('info', 'dedup window', `${duration(windowMillis)}, at most ${maxIds} ids per topic, by ${by}; ${loss}`);
}

/** What becomes of records that are handed out or sent twice, where that is not "once, in the order of their lane". */
function deliveryNotes(source: Capabilities, target: Capabilities): CheckItem[] {
  const notes: CheckItem[] = [];
  if (!source.exactPositions)
    notes.push(
      note(
        'warning',
        'delivery',
        'the driver of its source tells no positions: a restart gives records again, behind later ones; dedup: { id: producer } leaves them out',
      ),
    );
  if (target.stores === 'at-least-once')
    notes.push(
      note(
        'warning',
        'delivery',
        'the driver of its target cannot look at what is stored: after a doubt or a restart records are stored again',
      ),
    );
  if (target.stores === 'once-if-deduplicated')
    notes.push(
      note(
        'warning',
        'delivery',
        'the client of its target sends again by itself: exactly once only where the target topic deduplicates',
      ),
    );
  if (!target.choosesPartition)
    notes.push(
      note('info', 'order', 'the target itself chooses the queue: order is kept per key, and per lane for records without one'),
    );
  return notes;
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

/** Topics that a mirror takes although nobody lists them. */
function namedOutright({ topics }: MirrorSpec): string[] {
  return topics.filter((topic) => !/[*?]/.test(topic));
}

/** What a mirror would do now. `known`: the topics of its source, undefined when that could not be asked. */
export async function checkMirror(
  config: Config,
  link: LinkConfig,
  spec: MirrorSpec,
  known: readonly string[] | undefined,
  { source, target }: { readonly source: Cluster | undefined; readonly target: Cluster | undefined },
): Promise<MirrorCheck> {
  const kind = config.clusters[link.from]?.type ?? 'rocketmq';
  const topics = known
    ?.concat(source?.capabilities.listsTopics === false ? namedOutright(spec) : [])
    .filter((topic) => takesTopic(spec, topic) && (spec.retryTopics || !isRetryTopic(kind, topic)))
    .map((topic) => {
      const renamed = targetTopicOf(spec, topic);
      const needsLetters = target?.capabilities.createsTopics === false && spec.onBadRecord === 'dead-letter';
      return {
        source: topic,
        target: renamed,
        refused: target?.sink?.refusesTopicName(renamed),
        ...(needsLetters ? { deadLetterTopic: deadLetterTopicOf(spec, topic) } : {}),
      };
    });
  const merged = topics?.filter(({ target: name }, i) => topics.findIndex((other) => other.target === name) < i) ?? [];
  const exact = source?.capabilities.exactPositions !== false && target?.capabilities.stores !== 'at-least-once';
  const notes = [
    ...(source === undefined ? [] : rulesBeyond(source.capabilities, spec)).map((detail) => ({
      what: 'rules',
      ok: false,
      detail,
    })),
    ...(source === undefined || target === undefined ? [] : deliveryNotes(source.capabilities, target.capabilities)),
    dedupNote(spec.dedup, exact),
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
