import { readFileSync } from 'node:fs';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import { readYaml } from '../../config/yaml-source.ts';
import type { MirrorAnswer } from '../answers.ts';
import { CliError, EXIT, type Io } from '../io.ts';
import {
  type ApiOptions,
  apiOptions,
  type CliContext,
  connect,
  type MirrorName,
  mirrorName,
  toJson,
  wholeNumber,
} from '../options.ts';
import { showMirrors } from '../show.ts';

interface AddOptions extends ApiOptions {
  readonly file?: string;
  readonly topics?: string[];
  readonly exclude?: string[];
  readonly rename?: string;
  readonly start?: string;
  readonly routing?: string;
  readonly by?: string;
  readonly partitions?: number;
  readonly tags?: string[];
  readonly property?: Record<string, string[]>;
  readonly onBadRecord?: string;
  readonly deadLetterTopic?: string;
  readonly batching?: string;
  readonly compression?: string;
}

/** Collects `name=value` options into lists of values by name. */
function property(text: string, before: Record<string, string[]> = {}): Record<string, string[]> {
  const [, name, value] = /^([^=]+)=(.+)$/su.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('It must be NAME=VALUE.');
  return { ...before, [name]: [...(before[name] ?? []), value] };
}

/** The mapping of a mirror in a file: the same fields as in the configuration. */
async function readBody(file: string, io: Io): Promise<object> {
  const text = await (async (): Promise<string> => {
    try {
      return file === '-' ? await io.input() : readFileSync(file, 'utf8');
    } catch (error) {
      throw new CliError(EXIT.input, `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`, {}, error);
    }
  })();
  const { value, findings } = readYaml(text);
  const [first] = findings;
  if (first !== undefined) throw new CliError(EXIT.input, `${file}: ${first.path.join('.')} ${first.message}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError(EXIT.input, `${file} must hold the fields of one mirror, as JSON or YAML`);
  return value;
}

/** Fields of the options that were given; what they mean is the API's to say, so that there is one set of rules. */
function fieldsOf(options: AddOptions): object {
  const { topics, exclude, rename, start, routing, by, partitions, tags, onBadRecord, deadLetterTopic, batching, compression } =
    options;
  const given = (fields: Record<string, unknown>): object =>
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const mode = routing ?? (by === undefined && partitions === undefined ? undefined : 'key');
  const filter = given({ tags, properties: options.property });
  return given({
    topics,
    exclude,
    rename,
    start,
    routing: mode === undefined ? undefined : given({ mode, by, partitions }),
    filter: Object.keys(filter).length === 0 ? undefined : filter,
    onBadRecord,
    deadLetterTopic,
    batching,
    compression,
  });
}

const EXAMPLES = `
Examples:
  isthmus mirrors add east-west/refunds --topics "refunds-*"
  isthmus mirrors add east-west/paid --topics payments --tags paid --rename "persistent://public/default/paid"
  isthmus mirrors add east-west/orders --topics "orders-*" --by property:customer --partitions 16 --start 2026-11-01T00:00:00Z
  isthmus mirrors add east-west/orders --file mirror.yaml`;

export function addMirrorsAdd(parent: Command, { io }: CliContext): void {
  const command = parent
    .command('add')
    .summary('add a mirror to the running process')
    .description(
      'Adds a mirror. It starts at once and survives a restart. The fields are those of the configuration file, from options, a file, or both.',
    )
    .addArgument(new Argument('<link/mirror>', 'the link it belongs to, and its name').argParser(mirrorName))
    .option('-f, --file <file>', 'fields as JSON or YAML; - reads standard input')
    .option('-t, --topics <globs...>', 'source topics: names, or globs with * and ?')
    .option('--exclude <globs...>', 'source topics to leave out')
    .option('--rename <pattern>', 'target name; {topic} stands for the name at the source')
    .option('--start <when>', 'earliest, latest, or a moment such as 2026-11-01T00:00:00Z')
    .option('--routing <mode>', 'identity or key')
    .option('--by <key>', 'key of the routing: default, sharding-key, keys or property:<name>')
    .option('--partitions <n>', 'partitions of target topics that have to be created', wholeNumber)
    .option('--tags <tags...>', 'only records with one of these tags')
    .option('--property <name=value>', 'only records with this property; repeat for more', property)
    .option('--on-bad-record <what>', 'stop-lane or dead-letter')
    .option('--dead-letter-topic <pattern>', 'target topic for refused records')
    .option('--batching <mode>', 'auto, mixed or per-key')
    .option('--compression <kind>', 'none, lz4, zlib, zstd or snappy')
    .addHelpText('after', EXAMPLES);
  apiOptions(command).action(async ({ link, name }: MirrorName, options: AddOptions) => {
    const body = options.file === undefined ? {} : await readBody(options.file, io);
    const mirror = await connect(io, options).send('POST', '/v1/mirrors', { ...body, ...fieldsOf(options), link, name });
    io.out(options.json === true ? toJson(mirror) : showMirrors([mirror as MirrorAnswer]));
  });
}
