import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { DEAD_LETTER_PREFIX, originProperties } from '../../../model/dead-letter.ts';
import { formatProvenance, type MarkCodec, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../../model/record-batch.ts';
import type { ClusterAdmin } from '../../../spi/cluster.ts';
import type { DeadLetter } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { RocketmqDeps } from '../options.ts';
import { parseLane, type Routes } from '../routes.ts';
import { encodeBinary } from '../wire/command.ts';
import { INNER_BODY_AT, INNER_BYTES, INNER_FLAG_AT, sendBatch } from '../wire/send-message.ts';
import { escapeSeparators, letterMessage } from './encode/letter-message.ts';
import { MAX_PROPERTY_BYTES } from './encode/record-encoder.ts';
import type { Limits } from './limits.ts';
import type { LookParts } from './look/queue-look.ts';
import { writableLanes, writableMaster } from './queue-route.ts';
import { judgeSend } from './verdict.ts';

const MAX_TRIES = 6;
const SEND_TIMEOUT_MILLIS = 15_000;
/** Room beside the body for properties, and for what the broker adds. */
const RESERVE_BYTES = 40 * 1024;
/** Room for `ISTHMUS-DEAD-LETTER-PART` among the properties. */
const PART_BYTES = 64;

export interface DeadLetterParts {
  readonly look: Pick<LookParts, 'network'>;
  readonly routes: Routes;
  readonly admin: Pick<ClusterAdmin, 'ensureTopic'>;
  readonly deps: RocketmqDeps;
  readonly limits: Limits;
  /** As of a lane's writer. */
  readonly onWeak: (address: string, remark: string) => void;
}

/** One message of a dead letter. */
interface Part {
  readonly properties: Buffer;
  readonly body: Buffer;
}

/**
 * Keeps a record that its target refused: body, key and properties as a mirror would have written them, and beside them why and from where. So nothing in it acts on a broker,
 * and read again it is the record that it was.
 *
 * What no single message can hold comes in parts: a body in pieces, in order, each with `ISTHMUS-DEAD-LETTER-PART` (`2/3`), and properties that are too large as JSON in a message
 * of their own (`properties`). Resolves when all is stored; after a doubt it is stored again, so a dead letter may be there twice, never not at all. Rejects after some tries.
 */
export async function writeDeadLetter(letter: DeadLetter, parts: DeadLetterParts): Promise<void> {
  const { deps, routes } = parts;
  const backoff = new Backoff(200, 10_000, deps.random);
  for (let tries = 1; ; tries++) {
    try {
      return await writeOnce(letter, parts);
    } catch (caught) {
      const error = toIsthmusError(caught);
      if (!error.retryable || tries === MAX_TRIES) throw error;
      deps.log.warn('dead-letter-retried', { topic: letter.topic, code: error.code, error: error.message });
      routes.markStale(letter.topic);
      await deps.clock.sleep(backoff.next());
    }
  }
}

async function writeOnce(letter: DeadLetter, { admin, routes, look, limits, deps, onWeak }: DeadLetterParts): Promise<void> {
  const { topic } = letter;
  await admin.ensureTopic(topic, 1);
  const route = await routes.fetch(topic);
  const queue = parseLane(writableLanes(route)[0] ?? '');
  const address = writableMaster(route, topic, queue);
  const connection = await look.network.connection(address);
  const maxBytes = await limits.maxMessageBytes(address);
  const { flag, bornTime, properties } = letterMessage(letter, deps.marks);
  const roomBytes = maxBytes - Math.min(RESERVE_BYTES, maxBytes / 2);
  for (const part of partsOf(letter, properties, roomBytes, deps.marks)) {
    const target = { topic, queueId: queue.queueId, sysFlag: 0, bornTime };
    const plain = { ...sendBatch(target), body: innerMessage(part, flag) };
    const request = look.network.sign?.(plain) ?? plain;
    const answer = await connection.ask((opaque) => encodeBinary(request, opaque), SEND_TIMEOUT_MILLIS);
    const doing = `writing a dead letter to ${topic}`;
    const verdict = judgeSend(answer, doing);
    if (verdict.kind === 'illegal') {
      limits.doubt(address, answer.remark);
      const bytes = await limits.maxMessageBytes(address);
      if (bytes < maxBytes) throw new IsthmusError('LIMIT_LOWERED', `${doing}: the broker takes messages of ${bytes} bytes now`);
    }
    if (verdict.kind !== 'stored') throw verdict.error;
    if (verdict.weak) onWeak(address, answer.remark);
  }
}

/** What a dead letter carries beside the record itself: its mark first, then why it was refused and where it comes from. */
function markAndOrigin(letter: DeadLetter, marks: MarkCodec): [string, string][] {
  const { batch, i, sourceCluster, lane } = letter;
  const position = batch.positionAt(i);
  const runs = [{ first: position, count: 1 }];
  const mark =
    batch.marks?.get(i) ?? formatProvenance({ cluster: sourceCluster, ...lane, runs, time: batch.storeTime[i] ?? 0, passed: [] });
  return [
    // Keeps a mirror of the dead-letter topic itself from going round in circles.
    [PROVENANCE_PROPERTY, marks.seal(mark)],
    ...originProperties(letter, position),
  ];
}

/** `record`: the record's own properties, its mark among them, as they are stored. */
function partsOf(letter: DeadLetter, record: Buffer, roomBytes: number, marks: MarkCodec): Part[] {
  const { batch, i } = letter;
  const origin = markAndOrigin(letter, marks);
  const whole = Buffer.concat([record, encodeProperties(origin.slice(1))]);
  const apart = whole.length > MAX_PROPERTY_BYTES - PART_BYTES;
  const properties = apart ? encodeProperties(origin) : whole;
  const body = batch.body(i);
  const pieces = Math.max(1, Math.ceil(body.length / roomBytes));
  const parts: Part[] = [];
  for (let k = 0; k < pieces; k++) {
    const name = encodeProperties(pieces === 1 ? [] : [[`${DEAD_LETTER_PREFIX}PART`, `${k + 1}/${pieces}`]]);
    // Where it comes from is said once, so that one dead letter is not counted as several.
    parts.push({
      properties: Buffer.concat([k === 0 ? properties : encodeProperties(origin.slice(0, 1)), name]),
      body: body.subarray(k * roomBytes, (k + 1) * roomBytes),
    });
  }
  if (apart) {
    const named = encodeProperties([...origin.slice(0, 1), [`${DEAD_LETTER_PREFIX}PART`, 'properties']]);
    parts.push({ properties: named, body: Buffer.from(JSON.stringify(ownProperties(batch, i))) });
  }
  return parts;
}

/** The record's properties as they came, and its key. */
function ownProperties(batch: RecordBatch, i: number): [string, string][] {
  const found: [string, string][] = [];
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const at = row * PROPERTY_ROW;
    found.push([
      batch.text(batch.properties[at], batch.properties[at + 1]) ?? '',
      batch.text(batch.properties[at + 2], batch.properties[at + 3]) ?? '',
    ]);
  }
  for (const [name, value] of batch.extras?.get(i) ?? []) found.push([name, value]);
  const key = batch.text(batch.keyStart[i], batch.keyEnd[i]);
  if (key !== undefined && !found.some(([name]) => name === '__SHARDINGKEY' || name === 'KEYS'))
    found.push(['__SHARDINGKEY', key]);
  return found;
}

function encodeProperties(properties: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.from(
    properties.map(([name, value]) => `${escapeSeparators(name)}\u0001${escapeSeparators(value)}\u0002`).join(''),
  );
}

function innerMessage({ properties: text, body }: Part, flag: number): Buffer {
  const message = Buffer.alloc(INNER_BYTES + body.length + text.length);
  message.writeInt32BE(message.length, 0);
  message.writeInt32BE(flag, INNER_FLAG_AT);
  message.writeInt32BE(body.length, INNER_BODY_AT - 4);
  body.copy(message, INNER_BODY_AT);
  message.writeUInt16BE(text.length, INNER_BODY_AT + body.length);
  text.copy(message, INNER_BODY_AT + body.length + 2);
  if (text.length > MAX_PROPERTY_BYTES)
    throw new IsthmusError(
      'RECORD_REFUSED',
      'writing a dead letter: what has to be said of it has more bytes than properties may have',
    );
  return message;
}
