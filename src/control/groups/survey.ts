import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { forEachLimited } from '../../lib/concurrency.ts';
import type { Cluster } from '../../spi/cluster.ts';
import type { Groups, TopicSurvey } from '../../spi/groups.ts';

const TOPICS_AT_A_TIME = 8;

/** By topic; an error where the cluster says nothing of one. */
export type Surveys = ReadonlyMap<string, TopicSurvey | IsthmusError>;

/** What a cluster says of many topics, in as few requests as it allows. Rejects when it says nothing of any of them: then it is the cluster that does not answer. */
export async function surveyOf(cluster: Cluster, topics: readonly string[]): Promise<Surveys> {
  if (topics.length === 0) return new Map();
  const groups = groupsOf(cluster);
  const surveys = groups.survey === undefined ? await surveyApart(cluster, groups, topics) : await groups.survey(topics);
  const answers = [...surveys.values()];
  const away = answers.find((each) => each instanceof IsthmusError && each.code !== 'TOPIC_NOT_FOUND');
  if (away instanceof IsthmusError && answers.every((each) => each instanceof IsthmusError)) throw away;
  return surveys;
}

async function surveyApart({ admin }: Cluster, groups: Groups, topics: readonly string[]): Promise<Surveys> {
  const byTopic = Map.groupBy(await groups.progress(topics), (each) => each.topic);
  const surveys = new Map<string, TopicSurvey | IsthmusError>();
  await forEachLimited([...new Set(topics)], TOPICS_AT_A_TIME, async (topic) => {
    try {
      surveys.set(topic, { groups: byTopic.get(topic) ?? [], extents: await admin.extents(topic) });
    } catch (raw) {
      surveys.set(topic, toIsthmusError(raw));
    }
  });
  return surveys;
}

function groupsOf({ groups, name }: Cluster): Groups {
  if (groups === undefined)
    throw new IsthmusError(
      'INVALID_REQUEST',
      `looking at the groups of ${name}: its driver knows nothing of consumer groups, so that progress is not mirrored there`,
    );
  return groups;
}
