import { writeFileSync } from 'node:fs';
import { CATALOGUE, LATENCY_BUCKETS, labelsOf, type MetricDefinition } from '../src/metrics/catalogue.ts';
import { MAX_LANES, OTHER } from '../src/metrics/prometheus.ts';

/** The text of docs/METRICS.md; a test fails when the file is stale. Run: `npx node scripts/generate-metrics-doc.ts`. */
export function metricsDocument(): string {
  return `# Metrics

<!-- Generated from src/metrics/catalogue.ts by scripts/generate-metrics-doc.ts. -->

\`GET /metrics\` gives them in the text form of Prometheus, with those of Node and the operating system (\`process_*\`, \`nodejs_*\`).

- The unit is the last word of a name, before \`_total\`.
- Series of a lane are gone when this process no longer mirrors it. Counters begin at 0 with the process, and when a mirror is started again.
- The first ${MAX_LANES.toLocaleString('en')} lanes have series of their own. Those beyond are added up per mirror under \`topic="${OTHER}"\`, \`lane="${OTHER}"\` (of \`isthmus_lag_seconds\` the largest).

${table('Lanes', ofScope('lane'))}
${table('Mirrors', ofScope('mirror'))}
${table('Consumer groups', [...ofScope('group'), ...ofScope('link')])}
${table('The process', ofScope('process'))}
Buckets of \`${CATALOGUE.storeLatency.name}\`, in seconds: ${LATENCY_BUCKETS.join(', ')}.
`;
}

function ofScope(scope: MetricDefinition['per']): MetricDefinition[] {
  return Object.values(CATALOGUE).filter((definition) => definition.per === scope);
}

function table(title: string, definitions: readonly MetricDefinition[]): string {
  const rows = definitions.map((each) => {
    const labels = labelsOf(each).map((label) => `\`${label}\``);
    return `| \`${each.name}\` | ${each.kind} | ${each.unit} | ${labels.join(' ')} | ${each.help} |\n`;
  });
  return `## ${title}\n\n| name | kind | unit | labels | what it says |\n|---|---|---|---|---|\n${rows.join('')}`;
}

if (import.meta.main) writeFileSync(new URL('../docs/METRICS.md', import.meta.url), metricsDocument());
