import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/types.ts';
import type { CheckItem, CheckTopics, Cluster } from '../../spi/cluster.ts';
import { EXIT, printable } from '../io.ts';
import { type CliContext, fileOptions, toJson } from '../options.ts';
import { checkMarks, checkMirror, type MirrorCheck, type MirroredTopic } from './check-mirror.ts';

/** More topics per cluster are not tried one by one. */
const MAX_TOPICS = 50;
/** A cluster that takes longer does not answer. */
const DEADLINE_MILLIS = 60_000;

interface CheckResult {
  readonly state: CheckItem;
  readonly marks: readonly CheckItem[];
  readonly mirrors: readonly MirrorCheck[];
  readonly clusters: readonly ClusterCheck[];
}

interface ClusterCheck {
  readonly cluster: string;
  readonly items: readonly CheckItem[];
}

type Clusters = ReadonlyMap<string, Cluster>;

async function withDeadline<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${DEADLINE_MILLIS / 1000} s`)), DEADLINE_MILLIS);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Topic names of all source clusters; one that cannot be asked is left out, and its own check says why. */
async function listTopics(config: Config, clusters: Clusters): Promise<ReadonlyMap<string, readonly string[]>> {
  const sources = [...new Set(config.links.map((link) => link.from))];
  const lists = await Promise.all(
    sources.map(async (name) => {
      const specs = config.links.flatMap((link) => (link.from === name ? link.mirrors : []));
      const retryTopics = specs.some((spec) => spec.retryTopics);
      const globs = specs.flatMap((spec) => spec.topics);
      const listing = clusters.get(name)?.admin.listTopics({ retryTopics, globs }) ?? Promise.resolve([]);
      return [name, await withDeadline(listing).catch(() => undefined)] as const;
    }),
  );
  return new Map(lists.flatMap(([name, topics]) => (topics === undefined ? [] : [[name, topics] as const])));
}

/** The topics of a cluster that mirrors read and write now. */
function topicsOf(config: Config, mirrors: readonly MirrorCheck[], cluster: string): CheckTopics {
  const of = (end: 'from' | 'to'): MirroredTopic[] =>
    config.links
      .filter((link) => link[end] === cluster)
      .flatMap((link) => mirrors.filter(({ mirror }) => mirror.startsWith(`${link.name}/`)).flatMap(({ topics = [] }) => topics));
  const few = (names: readonly string[]): string[] => [...new Set(names)].slice(0, MAX_TOPICS);
  const writes = of('to').flatMap(({ target, deadLetterTopic }) => [
    target,
    ...(deadLetterTopic === undefined ? [] : [deadLetterTopic]),
  ]);
  return { reads: few(of('from').map(({ source }) => source)), writes: few(writes) };
}

async function checkCluster(name: string, cluster: Cluster, topics: CheckTopics): Promise<ClusterCheck> {
  try {
    return { cluster: name, items: await withDeadline(cluster.admin.check(topics)) };
  } catch (error) {
    return {
      cluster: name,
      items: [{ what: 'check', ok: false, detail: error instanceof Error ? error.message : String(error) }],
    };
  }
}

function problemsOf({ state, mirrors, clusters }: CheckResult): number {
  const refused = mirrors.flatMap(({ topics }) => topics ?? []).filter((topic) => topic.refused !== undefined).length;
  const unknown = mirrors.filter(({ topics }) => topics === undefined).length;
  const items = [state, ...mirrors.flatMap(({ notes }) => notes), ...clusters.flatMap((cluster) => cluster.items)];
  return refused + unknown + items.filter((item) => !item.ok).length;
}

const NOTES = { warning: 'WARN', info: 'info' } as const;

function showItem({ what, ok, note, detail }: CheckItem): string {
  const mark = !ok ? 'FAIL' : note === undefined ? 'ok  ' : NOTES[note];
  return `${mark}  ${printable(`${what}: ${detail}`)}`;
}

function show(config: Config, { state, marks, mirrors, clusters }: CheckResult): string[] {
  const ofClusters = clusters.flatMap(({ cluster, items }) => {
    const { type, region } = config.clusters[cluster] ?? { type: '?', region: '?' };
    return [`cluster ${cluster} (${type}, ${region})`, ...items.map((item) => `  ${showItem(item)}`)];
  });
  const lines = [showItem(state), ...marks.map(showItem), ...ofClusters];
  for (const { mirror, topics, notes } of mirrors) {
    if (topics === undefined) {
      lines.push(`mirror ${mirror}`, '  FAIL  its source does not list its topics');
      continue;
    }
    lines.push(
      `mirror ${mirror}: ${topics.length === 0 ? 'no topic matches now; it waits for one' : `${topics.length} topics match now`}`,
    );
    for (const { source, target, refused } of topics)
      lines.push(
        `  ${refused === undefined ? 'ok  ' : 'FAIL'}  ${printable(`${source} -> ${target}${refused === undefined ? '' : `: ${refused}`}`)}`,
      );
    lines.push(...notes.map((each) => `  ${showItem(each)}`));
  }
  return lines;
}

/** Tries everything that the mirrors of a configuration need. */
async function check(config: Config, clusters: Clusters, state: Promise<CheckItem>): Promise<CheckResult> {
  const topics = await listTopics(config, clusters);
  const mirrors = await Promise.all(
    config.links.flatMap((link) =>
      link.mirrors.map((spec) =>
        checkMirror(config, link, spec, topics.get(link.from), {
          source: clusters.get(link.from),
          target: clusters.get(link.to),
        }),
      ),
    ),
  );
  const checks = await Promise.all(
    [...clusters].map(([name, cluster]) => checkCluster(name, cluster, topicsOf(config, mirrors, name))),
  );
  return { state: await state, marks: checkMarks(config), mirrors, clusters: checks };
}

export function addCheck(program: Command, { io, wiring, endWith }: CliContext): void {
  const command = program
    .command('check')
    .summary('validate the configuration, then try everything it needs')
    .description(
      'Validates the file, connects to the state store and every cluster, and says per cluster, topic and permission what works, and which topics each mirror takes now. Writes no record and creates no topic. Exit code 1 when something does not work.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  isthmus check -c config/local.yaml\n  isthmus check -c config/local.yaml --json | jq .ok',
    );
  fileOptions(command).action(async (options: { config: string; json?: boolean }) => {
    const config = loadConfig(options.config, io.environment);
    const opened = await wiring.openClusters(config);
    try {
      const result = await check(config, opened.clusters, wiring.checkState(config));
      const problems = problemsOf(result);
      if (problems > 0) endWith(EXIT.failed);
      const verdict = problems === 0 ? 'everything works' : `${problems} ${problems === 1 ? 'thing does' : 'things do'} not work`;
      io.out(
        options.json === true
          ? toJson({ ok: problems === 0, ...result })
          : [`${options.config}: valid`, ...show(config, result), verdict].join('\n'),
      );
    } finally {
      await opened.close();
    }
  });
}
