import { IsthmusError } from '../../../errors.ts';
import { originProperties } from '../../../model/dead-letter.ts';
import { formatPosition } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { DeadLetter, LaneWriter, ScanReport, Sink, WriterOptions } from '../../../spi/sink.ts';
import type { RocketmqDeps } from '../options.ts';
import { topicNameProblem } from '../sink/topic-name.ts';
import { type GrpcClients, unreachable } from './client.ts';
import { GrpcLaneWriter } from './lane-writer.ts';
import { messageOf } from './message.ts';

/**
 * Writes through a proxy. Nothing of what is stored can be looked at there, so a lane that starts again writes again what it had sent since its last checkpoint. A partition
 * number means nothing: the proxy puts messages into queues by their message group.
 */
export class GrpcSink implements Sink {
  readonly fences = false;
  readonly #clients: GrpcClients;
  readonly #deps: RocketmqDeps;

  constructor(clients: GrpcClients, deps: RocketmqDeps) {
    this.#clients = clients;
    this.#deps = deps;
  }

  takesWhole(): boolean {
    return false;
  }

  setPartitions(): void {
    // The proxy chooses the queue.
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    await this.#expectFifo(options.topic);
    return new GrpcLaneWriter(this.#clients, options, this.#deps);
  }

  async scan(): Promise<ScanReport> {
    return { entries: 0, fromBeginning: true };
  }

  async tail(): Promise<undefined> {
    return undefined;
  }

  async writeDeadLetter(letter: DeadLetter): Promise<void> {
    const { topic, sourceCluster, lane, batch, i } = letter;
    const message = messageOf({ topic, sourceCluster, lane, batch, i, marks: this.#deps.marks });
    if ('refused' in message)
      throw new IsthmusError(
        'RECORD_REFUSED',
        `writing a dead letter to ${topic} for ${formatPosition(batch.positionAt(i))}: ${message.refused}`,
      );
    for (const [name, value] of originProperties(letter, batch.positionAt(i))) message.properties?.set(name, value);
    const producer = await this.#clients.producer();
    try {
      await producer.send(message);
    } catch (error) {
      throw unreachable(`writing a dead letter to ${topic}`, error);
    }
  }

  /** The queue follows from the message group; the lane needs one writer only. */
  partitionOf(_batch: RecordBatch, _i: number, _partitions: number): number {
    return 0;
  }

  refusesTopicName(topic: string): string | undefined {
    return topicNameProblem(topic);
  }

  async #expectFifo(topic: string): Promise<void> {
    const route = await this.#clients.route(topic);
    if (route === undefined)
      throw new IsthmusError(
        'TOPIC_NOT_FOUND',
        `writing ${topic}: it does not exist, and a proxy makes no topics; create it with message.type=FIFO`,
      );
    if (!route.fifo)
      throw new IsthmusError(
        'TOPIC_MISMATCH',
        `writing ${topic}: through a proxy order is kept only by topics of message.type FIFO, and this one is not`,
      );
  }
}
