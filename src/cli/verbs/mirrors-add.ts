import { readFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { ConfigError, toProblems } from '../../config/problems.ts';
import { readYaml } from '../../config/yaml-source.ts';
import type { MirrorAnswer } from '../answers.ts';
import { CliError, EXIT, type Io } from '../io.ts';
import { fieldsOf, isFields, type MirrorOptions, mirrorOptions } from '../mirror-options.ts';
import { type ApiOptions, apiOptions, type CliContext, connect, type MirrorName, mirrorName, toJson } from '../options.ts';
import { showMirrors } from '../show.ts';

interface AddOptions extends ApiOptions, MirrorOptions {
  readonly file?: string;
}

/** The mapping of a mirror in a file: the same fields as in the configuration. */
async function readBody(file: string, io: Io): Promise<Readonly<Record<string, unknown>>> {
  const text = await (async (): Promise<string> => {
    try {
      return file === '-' ? await io.input() : readFileSync(file, 'utf8');
    } catch (error) {
      throw new CliError(EXIT.input, `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`, {}, error);
    }
  })();
  const { value, findings, locate } = readYaml(text);
  if (findings.length > 0) throw new ConfigError(file === '-' ? 'standard input' : file, toProblems(findings, value, locate));
  if (!isFields(value)) throw new CliError(EXIT.input, `${file} must hold the fields of one mirror, as JSON or YAML`);
  if ('links' in value || 'mirrors' in value)
    throw new CliError(
      EXIT.input,
      `${file} holds more than one mirror: it must hold the fields of one (topics, rename, ...), without what stands around them in a configuration file`,
    );
  return value;
}

const EXAMPLES = `
Examples:
  isthmus mirrors add east-west/refunds --topics "refunds-*"
  isthmus mirrors add east-west/paid --topics payments --tags paid --rename "persistent://public/default/paid"
  isthmus mirrors add east-west/orders --topics "orders-*" --by property:customer --partitions 16 --start 2026-11-01T00:00:00Z
  isthmus mirrors add east-west/clean --topics "clicks-*" --except kind=test --drop "debug-*" --set region=east --dedup 1h
  isthmus mirrors add east-west/orders --file mirror.yaml

mirror.yaml holds any of the fields that a mirror has in the configuration file (docs/CONFIGURATION.md, "Mirrors"):
  topics: ["orders-*"]
  filter: { tags: [paid] }
  dedup: { window: 24h, id: producer }
Options win over the file; in filter, transform, routing and dedup each of their fields for itself.`;

export function addMirrorsAdd(parent: Command, { io }: CliContext): void {
  const command = parent
    .command('add')
    .summary('add a mirror to the running process')
    .description(
      'Adds a mirror. It starts at once and survives a restart. The fields are those of the configuration file, from options, a file, or both.',
    )
    .addArgument(new Argument('<link/mirror>', 'the link it belongs to, and its name').argParser(mirrorName))
    .option('-f, --file <file>', 'fields as JSON or YAML; - reads standard input')
    .addHelpText('after', EXAMPLES);
  apiOptions(mirrorOptions(command)).action(async ({ link, name }: MirrorName, options: AddOptions) => {
    if (options.rename !== undefined && options.renameRule !== undefined)
      throw new CliError(
        EXIT.input,
        '--rename and --rename-rule exclude each other: topics that no rule matches keep the default name',
      );
    const body = options.file === undefined ? {} : await readBody(options.file, io);
    const mirror = await connect(io, options).send('POST', '/v1/mirrors', { ...fieldsOf(body, options), link, name });
    io.out(options.json === true ? toJson(mirror) : showMirrors([mirror as MirrorAnswer]));
  });
}
