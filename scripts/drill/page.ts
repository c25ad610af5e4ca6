/** The report as a page: one file that needs no other, to be kept as evidence and read by people who were not there. */
import { type Check, type DrillResult, type GroupResult, hasPassed, type Moment, type Second } from './outcome.ts';

const style = `
:root{--ink:#1c2530;--soft:#5b6775;--line:#d9dfe6;--page:#f5f7f9;--card:#fff;--good:#14713d;--goodbg:#e4f4ea;--bad:#a81f1f;--badbg:#fbe6e6;--blue:#2c6fbb;--gray:#b3bdc9}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#9aa7b5;--line:#34404d;--page:#141a21;--card:#1c242d;--good:#6fd397;--goodbg:#163324;--bad:#ff9b9b;--badbg:#3e1a1c;--blue:#6fa9e8;--gray:#5b6775}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:0}h3{font-size:15px;margin:28px 0 8px}
p{margin:6px 0}.soft{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:22px 26px;margin:24px 0}
.head{display:flex;gap:14px;align-items:center}
.verdict{display:inline-block;border-radius:5px;padding:2px 12px;font-weight:700;letter-spacing:.04em;white-space:nowrap}
.pass{background:var(--goodbg);color:var(--good)}.fail{background:var(--badbg);color:var(--bad)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--soft);font-size:13px}
th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;padding-right:18px}
td.v{width:70px;font-weight:700}tr.ok td.v{color:var(--good)}tr.no td.v{color:var(--bad)}tr.no{background:var(--badbg)}
.detail{color:var(--soft);font-size:13px}
code,pre{font:13px/1.45 ui-monospace,"DejaVu Sans Mono",Consolas,monospace}
pre{overflow:auto;max-height:420px;background:var(--page);padding:12px;border-radius:6px}
ol{list-style:none;margin:0;padding:0}
ol li{display:flex;gap:14px;padding:2px 0}ol time{flex:0 0 70px;text-align:right;color:var(--soft);font-variant-numeric:tabular-nums}
ol .step{font-weight:600}ol .fault{font-weight:700;color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:12px 0}dt{color:var(--soft)}dd{margin:0}
svg{display:block;width:100%;height:150px}details{margin-top:16px}summary{cursor:pointer;color:var(--soft)}
.key i{display:inline-block;width:10px;height:10px;margin:0 5px 0 14px}
@media print{body{background:#fff}section{break-inside:avoid-page}}
`;

/** `results` in the order in which they were played. Times in it are in UTC. */
export function renderPage(results: readonly DrillResult[]): string {
  const passed = results.length > 0 && results.every(hasPassed);
  const [first, last] = [results[0], results.at(-1)];
  const checks = results.flatMap((result) => result.checks);
  const good = checks.filter((check) => check.passed).length;
  const title = results.length === 1 && first !== undefined ? `Drill: ${first.title}` : `${results.length} drills`;
  const when =
    first === undefined || last === undefined
      ? ''
      : `${utc(first.startedAt)} to ${utc(last.endedAt)}, ${first.source} to ${first.target}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${text(title)}: ${passed ? 'passed' : 'failed'}</title><style>${style}</style></head><body><main>
<div class="head"><h1>${text(title)}</h1>${badge(passed)}</div>
<p class="soft">Isthmus disaster recovery drill. ${text(when)}. ${good} of ${checks.length} checks passed.</p>
${results.length > 1 ? overview(results) : ''}
${results.map(drillSection).join('\n')}
${howToRead}
</main></body></html>
`;
}

const howToRead = `<section><h2>How this was measured</h2>
<p>Records are written and consumed by the official Java clients of RocketMQ and Pulsar, on both sides, while the drill goes on. Each record has a number of its own. At the end the clients
read both clusters whole, and numbers, order per key, and what each consumer got and acknowledged are compared. What was predicted stands in the failover's certificate, which the replicator
writes before the first consumer starts on the target.</p>
<p><b>Lost</b>: at the source, and not on the target. <b>Doubled</b>: on the target more than once. <b>Read again</b>: done by a group at the source, and given to it once more on the target.
<b>Exact</b>: nothing is read again and nothing is left out. <b>Floor</b>: nothing is left out, and as many records as stated are read again.</p></section>`;

function overview(results: readonly DrillResult[]): string {
  const rows = results.map((result) => {
    const { drill, title, checks, startedAt, endedAt } = result;
    const passed = hasPassed(result);
    const good = checks.filter((check) => check.passed).length;
    return `<tr class="${passed ? 'ok' : 'no'}"><td class="v">${passed ? 'PASS' : 'FAIL'}</td><td><a href="#${text(drill)}">${text(title)}</a></td><td class="n">${good} of ${checks.length}</td><td class="n">${duration(endedAt - startedAt)}</td></tr>`;
  });
  return `<section><h2>Overview</h2><div class="wide"><table><tr><th></th><th>Drill</th><th class="n">Checks passed</th><th class="n">Took</th></tr>${rows.join('')}</table></div></section>`;
}

function drillSection(result: DrillResult): string {
  const { drill, title, says, source, target, state, startedAt, endedAt, timeline, checks, groups, seconds, failover } = result;
  const broken = result.brokenOff === null ? '' : `<p class="verdict fail">Broken off</p><pre>${text(result.brokenOff)}</pre>`;
  return `<section id="${text(drill)}"><div class="head"><h2>${text(title)}</h2>${badge(hasPassed(result))}</div>
<p>${text(says)}</p>
<dl><dt>Source</dt><dd>${text(source)}</dd><dt>Target</dt><dd>${text(target)}</dd><dt>State</dt><dd>${text(state)}</dd>
<dt>When</dt><dd>${utc(startedAt)}, for ${duration(endedAt - startedAt)}</dd></dl>
${broken}
<h3>Checks</h3>${checkTable(checks)}
${groups.length === 0 ? '' : `<h3>Consumer groups that moved</h3>${groupTable(groups)}`}
${seconds.length === 0 ? '' : `<h3>Records a second</h3>${chart(seconds, faultsIn(timeline, startedAt))}`}
<h3>Timeline</h3><ol>${timeline.map((moment) => momentItem(moment, startedAt)).join('')}</ol>
${failover === null ? '' : `<details><summary>What the replicator said of the failover: plan, steps, certificate</summary><pre>${text(JSON.stringify(failover, null, 2))}</pre></details>`}
<p class="detail">${result.files.map((file) => `<code>${text(file)}</code>`).join(', ')}</p></section>`;
}

function checkTable(checks: readonly Check[]): string {
  const rows = checks.map(({ name, expected, measured, passed, detail = [] }) => {
    const more = passed || detail.length === 0 ? '' : `<div class="detail">${detail.map(text).join('<br>')}</div>`;
    return `<tr class="${passed ? 'ok' : 'no'}"><td class="v">${passed ? 'PASS' : 'FAIL'}</td><td>${text(name)}${more}</td><td>${text(expected)}</td><td>${text(measured)}</td></tr>`;
  });
  return `<div class="wide"><table><tr><th></th><th>Check</th><th>Expected</th><th>Measured</th></tr>${rows.join('')}</table></div>`;
}

function groupTable(groups: readonly GroupResult[]): string {
  const rows = groups.map((each) => {
    const first = each.firstAfterMillis === null ? 'never' : duration(each.firstAfterMillis);
    const numbers = [each.predicted ?? 'unknown', each.readAgain, each.missed, each.doneAtSource, each.gotAtTarget, first];
    const cells = numbers.map((cell) => `<td class="n">${text(String(cell))}</td>`).join('');
    return `<tr><td>${text(each.group)}</td><td>${text(each.consumers)}</td><td>${text(each.placeKind)}</td>${cells}</tr>`;
  });
  const heads = ['Predicted to read again', 'Read again', 'Missed', 'Done at source', 'Got on target', 'First record after'];
  return `<div class="wide"><table><tr><th>Group</th><th>Consumers</th><th>Place</th>${heads.map((head) => `<th class="n">${head}</th>`).join('')}</tr>${rows.join('')}</table></div>`;
}

function faultsIn(timeline: readonly Moment[], startedAt: number): readonly number[] {
  return timeline.filter(({ kind }) => kind === 'fault').map(({ at }) => (at - startedAt) / 1_000);
}

/** Two lines over the drill's seconds from its first record on, and a mark at each fault. Before that brokers start, which may take minutes. */
function chart(all: readonly Second[], faultsAt: readonly number[]): string {
  const [width, height] = [1_000, 140];
  const begin = Math.max(
    0,
    all.findIndex(({ written, arrived }) => written + arrived > 0),
  );
  const seconds = all.slice(begin);
  const faults = faultsAt.map((at) => Math.max(0, at - begin));
  const highest = Math.max(1, ...seconds.flatMap(({ written, arrived }) => [written, arrived]));
  const x = (second: number): string => ((second / seconds.length) * width).toFixed(1);
  const line = (of: (second: Second) => number): string =>
    seconds.map((second, i) => `${x(i + 0.5)},${(height - (of(second) / highest) * (height - 8)).toFixed(1)}`).join(' ');
  const marks = faults.map(
    (at) =>
      `<line x1="${x(at)}" x2="${x(at)}" y1="0" y2="${height}" stroke="var(--bad)" stroke-dasharray="4 3" vector-effect="non-scaling-stroke"/>`,
  );
  const draw = (points: string, color: string): string =>
    `<polyline points="${points}" fill="none" stroke="${color}" stroke-width="1.6" vector-effect="non-scaling-stroke"/>`;
  return `<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="Records written and records that arrived, per second">${marks.join('')}
${draw(
  line(({ written }) => written),
  'var(--gray)',
)}${draw(
  line(({ arrived }) => arrived),
  'var(--blue)',
)}<line x1="0" x2="${width}" y1="${height}" y2="${height}" stroke="var(--line)"/></svg>
<p class="detail key"><i style="background:var(--gray)"></i>written on both sides<i style="background:var(--blue)"></i>arrived at a consumer on the target<i style="background:var(--bad)"></i>fault. From ${begin} s to ${all.length} s; highest: ${highest}.</p>`;
}

function momentItem({ at, text: what, kind }: Moment, startedAt: number): string {
  return `<li class="${kind}"><time>${((at - startedAt) / 1_000).toFixed(1)} s</time><span>${text(what)}</span></li>`;
}

function badge(passed: boolean): string {
  return `<span class="verdict ${passed ? 'pass' : 'fail'}">${passed ? 'PASS' : 'FAIL'}</span>`;
}

function utc(millis: number): string {
  return `${new Date(millis).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function duration(millis: number): string {
  return millis < 1_000 ? `${Math.round(millis)} ms` : `${(millis / 1_000).toFixed(1)} s`;
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
