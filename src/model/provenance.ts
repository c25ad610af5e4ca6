import { formatPosition, type Position, parsePosition } from './position.ts';

/**
 * Where a record comes from: the property `ISTHMUS` that each mirrored record carries.
 *
 * Grammar (ASCII; `%`, `;`, `,`, `>`, `+`, `!` and control characters inside names are written `%XX`):
 *   mark      = "1" ";" cluster ";" topic ";" lane ";" positions ";" time [ ";" passed [ ";" via ] ] [ ";!" tag ]
 *   positions = run *( "," run )         ; where in the lane, in ascending order
 *   run       = position [ "+" count ]   ; `count` neighbours from `position` on (major counts up), 1 when absent
 *   time      = base-36 milliseconds since 1970 at which the source stored the first record
 *   passed    = cluster *( ">" cluster ) ; clusters between the origin and the writer of the mark, oldest first
 *   via       = topic ";" lane ";" positions ; where the writer of the mark has read the records: in the last of `passed`
 *   tag       = 11 characters of base64url: the first 8 bytes of HMAC-SHA256 over everything before ";!", with the configured secret
 * The first five fields say where records were written by an application; `via` is there when they were read elsewhere than there, which is what
 * the writer's own recovery looks for (`readPlace`).
 * On a Pulsar batch the mark stands on the entry, where consumers do not see it, and speaks of all its records.
 */
export const PROVENANCE_PROPERTY = 'ISTHMUS';

/**
 * Stands on a Pulsar entry of which at least one record has a mark of its own. Such an entry is never passed on whole: its own mark does not tell where those records have
 * been, and in a ring of clusters they would come back to where they were written.
 */
export const INNER_MARKS_PROPERTY = 'ISTHMUS-INNER';

/** `count` neighbouring records from `first` on. */
export interface PositionRun {
  readonly first: Position;
  readonly count: number;
}

export interface Provenance {
  readonly cluster: string;
  readonly topic: string;
  readonly lane: string;
  readonly runs: readonly PositionRun[];
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly passed: readonly string[];
  /** Where the writer of the mark has read the records, when that is not their origin: in the last of `passed`. */
  readonly via?: MarkPlace | undefined;
}

/** A stretch of a lane. */
export interface MarkPlace {
  readonly topic: string;
  readonly lane: string;
  readonly runs: readonly PositionRun[];
}

/** Seals marks and tells damaged or forged ones. */
export interface MarkCodec {
  /** The mark as it is written: with a tag where there is a secret. */
  seal(mark: string): string;
  /** `undefined` when it is damaged, of another version, or not sealed with our secret: the record then counts as local, never as gone. */
  read(text: string): Provenance | undefined;
}

const VERSION = '1';
/** Ten digits to the base of 36. */
const LATEST_MILLIS = 36 ** 10 - 1;
const RESERVED = /[%;,>+!\u0000-\u0020\u007f]/g;

function escapeName(name: string): string {
  return name.replace(RESERVED, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

function unescapeName(text: string): string {
  return text.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

export function formatRuns(runs: readonly PositionRun[]): string {
  return runs.map((run) => (run.count === 1 ? formatPosition(run.first) : `${formatPosition(run.first)}+${run.count}`)).join(',');
}

/** Whatever a source says of a record's time must not make its mark unreadable: the record would be written again. */
export function formatTime(millis: number): string {
  return Math.trunc(Math.min(Math.max(millis || 0, 0), LATEST_MILLIS)).toString(36);
}

export function formatProvenance(mark: Provenance): string {
  const names = [mark.cluster, mark.topic, mark.lane].map(escapeName).join(';');
  const passed = mark.passed.length === 0 ? '' : `;${mark.passed.map(escapeName).join('>')}`;
  const via = mark.via === undefined ? '' : formatVia(mark.via);
  return `${VERSION};${names};${formatRuns(mark.runs)};${formatTime(mark.time)}${passed}${via}`;
}

/** What a writer appends to the mark of a record that came from elsewhere before: where it has read the record. */
export function formatVia({ topic, lane, runs }: MarkPlace): string {
  return `;${escapeName(topic)};${escapeName(lane)};${formatRuns(runs)}`;
}

const COUNT_TEXT = /^[1-9]\d{0,15}$/;
const TIME_TEXT = /^[0-9a-z]{1,10}$/;

function parseRun(text: string): PositionRun | undefined {
  const plus = text.indexOf('+');
  const first = parsePosition(plus < 0 ? text : text.slice(0, plus));
  const countText = plus < 0 ? '1' : text.slice(plus + 1);
  if (first === undefined || !COUNT_TEXT.test(countText)) return undefined;
  const count = Number(countText);
  // Counting on from `first` has to stay exact.
  return Number.isSafeInteger(Math.max(first.major, first.minor, first.index) + count) ? { first, count } : undefined;
}

function parseRuns(text: string): PositionRun[] | undefined {
  const runs: PositionRun[] = [];
  for (const part of text.split(',')) {
    const run = parseRun(part);
    if (run === undefined) return undefined;
    runs.push(run);
  }
  return runs;
}

/** Field counts: without a way, with one, with a way and `via`. */
const LENGTHS: ReadonlySet<number> = new Set([6, 7, 10]);

/** Reads a mark without its tag; `undefined` when it is damaged or of another version, so that the record counts as local, never as gone. */
export function parseProvenance(text: string): Provenance | undefined {
  const parts = text.split(';');
  const [version, cluster, topic, lane, positions, time, passed, viaTopic, viaLane, viaPositions] = parts;
  if (version !== VERSION || !LENGTHS.has(parts.length) || !cluster || !topic || lane === undefined || !positions || !time)
    return undefined;
  const runs = parseRuns(positions);
  if (runs === undefined || !TIME_TEXT.test(time)) return undefined;
  let via: MarkPlace | undefined;
  if (viaTopic !== undefined) {
    const viaRuns = parseRuns(viaPositions ?? '');
    if (viaRuns === undefined || !passed || viaTopic === '' || viaLane === undefined) return undefined;
    via = { topic: unescapeName(viaTopic), lane: unescapeName(viaLane), runs: viaRuns };
  }
  return {
    cluster: unescapeName(cluster),
    topic: unescapeName(topic),
    lane: unescapeName(lane),
    runs,
    time: Number.parseInt(time, 36),
    passed: passed ? passed.split('>').map(unescapeName) : [],
    ...(via === undefined ? {} : { via }),
  };
}

export const TAG_BEGIN = ';!';
const TAG_LENGTH = 11;
const TAG_TEXT = /^[\w-]+$/;

/** Takes the tag off a mark; names cannot hold what it begins with. */
export function splitTag(text: string): { readonly mark: string; readonly tag: string | undefined } {
  const at = text.length - TAG_LENGTH - TAG_BEGIN.length;
  const tag = text.slice(at + TAG_BEGIN.length);
  const tagged = at >= 0 && text.startsWith(TAG_BEGIN, at) && TAG_TEXT.test(tag);
  return tagged ? { mark: text.slice(0, at), tag } : { mark: text, tag: undefined };
}

/** Marks without a tag. Those that others have sealed can be read, too: nothing here could tell whether they are genuine. */
export const plainMarks: MarkCodec = { seal: (mark) => mark, read: (text) => parseProvenance(splitTag(text).mark) };

/** Whether a record with this mark has been in a cluster before, as its origin or on its way. */
export function hasPassed(mark: Provenance, cluster: string): boolean {
  return mark.cluster === cluster || mark.passed.includes(cluster);
}

/** Where the writer of a mark has read its records: cluster, topic, lane and positions there. */
export function readPlace(mark: Provenance): MarkPlace & { readonly cluster: string } {
  const { via, passed } = mark;
  if (via === undefined) return mark;
  return { ...via, cluster: passed.at(-1) ?? mark.cluster };
}
