import { type Command, InvalidArgumentError } from 'commander';
import { wholeNumber } from './options.ts';

type Values = Readonly<Record<string, string>>;
type ValueLists = Readonly<Record<string, readonly string[]>>;

/** The fields of a mirror as options; what they mean is the API's to say, so that there is one set of rules. */
export interface MirrorOptions {
  readonly topics?: readonly string[];
  readonly exclude?: readonly string[];
  readonly rename?: string;
  readonly renameRule?: readonly { readonly match: string; readonly to: string }[];
  readonly retryTopics?: boolean;
  readonly start?: string;
  readonly onRecreated?: string;
  readonly routing?: string;
  readonly by?: string;
  readonly partitions?: number;
  readonly tags?: readonly string[];
  readonly property?: ValueLists;
  readonly except?: ValueLists;
  readonly present?: readonly string[];
  readonly absent?: readonly string[];
  readonly drop?: readonly string[];
  readonly renameProperty?: Values;
  readonly set?: Values;
  readonly dedup?: string;
  readonly dedupMaxIds?: number;
  readonly dedupId?: string;
  readonly onStateLoss?: string;
  readonly onBadRecord?: string;
  readonly deadLetterTopic?: string;
  readonly batching?: string;
  readonly compression?: string;
  readonly retention?: string;
}

/** Splits at the first `=`. */
function pair(text: string, shape: string): readonly [string, string] {
  const [, left, right] = /^([^=]+)=(.+)$/su.exec(text) ?? [];
  if (left === undefined || right === undefined) throw new InvalidArgumentError(`It must be ${shape}.`);
  return [left, right];
}

/** Collects NAME=VALUE into lists of values by name. */
function listed(text: string, before: ValueLists = {}): ValueLists {
  const [name, value] = pair(text, 'NAME=VALUE');
  return { ...before, [name]: [...(before[name] ?? []), value] };
}

function named(text: string, before: Values = {}): Values {
  const [name, value] = pair(text, 'NAME=VALUE');
  return { ...before, [name]: value };
}

function renamed(text: string, before: Values = {}): Values {
  const [from, to] = pair(text, 'OLD=NEW');
  return { ...before, [from]: to };
}

function renameRule(text: string, before: MirrorOptions['renameRule'] = []): MirrorOptions['renameRule'] {
  const [match, to] = pair(text, 'MATCH=TO, for example orders-*=eu-orders-{1}');
  return [...before, { match, to }];
}

/** Gives a command the fields of a mirror as options, in groups. */
export function mirrorOptions(command: Command): Command {
  return command
    .optionsGroup('Topics:')
    .option('-t, --topics <globs...>', 'source topics: names, or globs with * and ?')
    .option('--exclude <globs...>', 'source topics to leave out')
    .option('--rename <pattern>', 'target name; {topic} stands for the name at the source')
    .option(
      '--rename-rule <match=to>',
      'target name of topics that a glob matches, {1} its first wildcard; repeat for more',
      renameRule,
    )
    .option('--retry-topics', 'also retry and dead-letter topics of consumer groups that the globs match')
    .option('--start <when>', 'earliest, latest, or a moment such as 2026-11-01T00:00:00Z')
    .option('--on-recreated <what>', 'follow or stop, when a source topic was deleted and made again')
    .option('--retention <time>', 'how long topics that it creates keep records: 72h, 7d, keep')
    .optionsGroup('Records:')
    .option('--tags <tags...>', 'only records with one of these tags')
    .option('--property <name=value>', 'only records with this property; repeat for more', listed)
    .option('--except <name=value>', 'no records with this property; repeat for more', listed)
    .option('--present <names...>', 'only records that have these properties')
    .option('--absent <names...>', 'only records that have none of these properties')
    .option('--drop <globs...>', 'leave out these properties')
    .option('--rename-property <old=new>', 'another name for a property; repeat for more', renamed)
    .option('--set <name=value>', 'give every record this property; repeat for more', named)
    .optionsGroup('Order and copies:')
    .option('--routing <mode>', 'identity or key')
    .option('--by <key>', 'key of the routing: default, sharding-key, keys or property:<name>')
    .option('--partitions <n>', 'partitions of target topics that have to be created', wholeNumber)
    .option('--dedup <window>', 'off, or how long the id of a record is remembered: 24h')
    .option('--dedup-id <id>', 'origin, producer or property:<name>')
    .option('--dedup-max-ids <n>', 'ids that are remembered per target topic', wholeNumber)
    .option('--on-state-loss <what>', 'stop or continue, while the window is away')
    .optionsGroup('Writing:')
    .option('--on-bad-record <what>', 'stop-lane or dead-letter')
    .option('--dead-letter-topic <pattern>', 'target topic for refused records')
    .option('--batching <mode>', 'auto, mixed or per-key')
    .option('--compression <kind>', 'none, lz4, zlib, zstd or snappy')
    .optionsGroup('Options:');
}

type Fields = Readonly<Record<string, unknown>>;

/** Those that were given; `undefined` when none was. */
function given(fields: Fields): Fields | undefined {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function routingOf({ routing, by, partitions }: MirrorOptions, inFile: unknown): Fields | undefined {
  const rest = given({ by, partitions });
  // `by` of a file says nothing to another mode.
  if (routing !== undefined) return { mode: routing, ...rest };
  return rest === undefined ? undefined : { ...(isFields(inFile) ? inFile : {}), mode: 'key', ...rest };
}

function dedupOf(options: MirrorOptions): Fields | 'off' | undefined {
  const { dedup: window, dedupMaxIds: maxIds, dedupId: id, onStateLoss } = options;
  const rest = given({ maxIds, id, onStateLoss });
  return window === 'off' && rest === undefined ? 'off' : given({ window, ...rest });
}

/** The fields of a mirror: those of a file, and the options, which win. In sections of several fields each wins for itself. */
export function fieldsOf(file: Fields, options: MirrorOptions): Fields {
  const { topics, exclude, rename, renameRule: rules, retryTopics, start, onRecreated } = options;
  const { onBadRecord, deadLetterTopic, batching, compression, retention } = options;
  const { tags, property: properties, except, present, absent, drop, renameProperty, set } = options;
  const section = (name: string, fields: Fields | undefined): Fields | undefined => {
    const inFile = file[name];
    return fields === undefined || !isFields(inFile) ? fields : { ...inFile, ...fields };
  };
  const dedup = dedupOf(options);
  const all = given({
    topics,
    exclude,
    rename: rules ?? rename,
    retryTopics,
    start,
    onRecreated,
    routing: routingOf(options, file['routing']),
    filter: section('filter', given({ tags, properties, except, present, absent })),
    transform: section('transform', given({ drop, rename: renameProperty, set })),
    dedup: dedup === 'off' ? dedup : section('dedup', dedup),
    onBadRecord,
    deadLetterTopic,
    batching,
    compression,
    retention,
  });
  return { ...file, ...all };
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
