import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAuthChallenge, encodeAuthResponse } from '../../../../../src/drivers/pulsar/wire/auth.ts';
import { entryChecksum } from '../../../../../src/drivers/pulsar/wire/checksum.ts';
import { decodeClose, encodeCloseConsumer, encodeCloseProducer } from '../../../../../src/drivers/pulsar/wire/close.ts';
import { decodeConnected, encodeConnect } from '../../../../../src/drivers/pulsar/wire/connect.ts';
import { decodeLastMessageId, encodeGetLastMessageId } from '../../../../../src/drivers/pulsar/wire/last-message-id.ts';
import { decodeLookupResponse, encodeLookup } from '../../../../../src/drivers/pulsar/wire/lookup.ts';
import { decodeMessage, locateMetadata } from '../../../../../src/drivers/pulsar/wire/message.ts';
import { COMPRESSION, encodeMetadata, scanMetadata } from '../../../../../src/drivers/pulsar/wire/message-metadata.ts';
import {
  decodePartitionedMetadataResponse,
  encodePartitionedMetadata,
} from '../../../../../src/drivers/pulsar/wire/partitioned-metadata.ts';
import { PING, PONG } from '../../../../../src/drivers/pulsar/wire/ping.ts';
import { decodeProducerSuccess, encodeProducer } from '../../../../../src/drivers/pulsar/wire/producer.ts';
import { ProtoReader } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { decodeError, decodeSuccess } from '../../../../../src/drivers/pulsar/wire/reply.ts';
import { decodeGetOrCreateSchemaResponse, decodeGetSchemaResponse } from '../../../../../src/drivers/pulsar/wire/schema.ts';
import { decodeSendError, decodeSendReceipt, encodeSendHead } from '../../../../../src/drivers/pulsar/wire/send.ts';
import { encodeFlow, encodeSubscribe } from '../../../../../src/drivers/pulsar/wire/subscribe.ts';
import { IsthmusError } from '../../../../../src/errors.ts';
import { FrameSplitter } from '../../../../../src/wire/frame-splitter.ts';
import { decodeFrame, type IncomingCommand } from '../frames.ts';
import { type GoldenName, golden, goldenNames } from './golden.ts';

function received(name: GoldenName): IncomingCommand {
  return decodeFrame(golden(name).subarray(4));
}

describe('commands are written as Pulsar’s own code writes them', () => {
  it('CONNECT', () => {
    const frame = encodeConnect({ authMethod: 'token', authData: Buffer.from('tok'), proxyToBroker: 'b:6650' });
    expect(frame).toEqual(golden('connect'));
  });

  it('LOOKUP', () => {
    expect(encodeLookup(1, { topic: 't', authoritative: true, listenerName: 'external' })).toEqual(golden('lookup'));
  });

  it('PRODUCER', () => {
    const producer = { topic: 'persistent://public/default/t-partition-0', producerId: 1, name: 'isthmus/l/c/t/q', epoch: 3 };
    expect(encodeProducer(2, producer)).toEqual(golden('producer'));
  });

  it('SUBSCRIBE', () => {
    const subscribe = { topic: 't', subscription: 's', consumerId: 4, from: { ledger: -1, entry: -1 } };
    expect(encodeSubscribe(5, subscribe)).toEqual(golden('subscribe'));
  });

  it('PING and PONG', () => {
    expect([PING, PONG]).toEqual([golden('ping'), golden('pong')]);
  });

  it('PARTITIONED_METADATA, which must not create the topic', () => {
    expect(encodePartitionedMetadata(1, 't')).toEqual(golden('partitionedMetadata'));
  });

  it('AUTH_RESPONSE', () => {
    expect(encodeAuthResponse('token', Buffer.from('tok'))).toEqual(golden('authResponse'));
  });

  it('FLOW and GET_LAST_MESSAGE_ID', () => {
    expect(encodeFlow(4, 2000)).toEqual(golden('flow'));
    expect(encodeGetLastMessageId(5, 4)).toEqual(golden('getLastMessageId'));
  });

  it('CLOSE_PRODUCER and CLOSE_CONSUMER', () => {
    expect(encodeCloseProducer(2, 1)).toEqual(golden('closeOwnProducer'));
    expect(encodeCloseConsumer(2, 1)).toEqual(golden('closeOwnReader'));
  });

  it('SEND of a chunk or a marker', () => {
    const send = { producerId: 3, sequenceId: 7, highestSequenceId: 7, messages: 1, chunk: true, marker: true };
    const { length } = golden('sendCommand');
    expect(encodeSendHead(send, Buffer.alloc(0), 0, 0).subarray(4, length)).toEqual(golden('sendCommand').subarray(4));
  });

  it('the metadata of a marker', () => {
    const marker = encodeMetadata({ producerName: 'n/marker', sequenceId: 0, publishTime: 1, properties: [], marker: true });
    expect(marker).toEqual(golden('markerMetadata'));
  });

  it('SEND with its checksum, metadata and payload', () => {
    const payload = Buffer.from('payload');
    const metadata = encodeMetadata({
      producerName: 'n',
      sequenceId: 7,
      publishTime: 1,
      properties: [],
      batch: { messages: 2, highestSequenceId: 8 },
    });
    const send = { producerId: 3, sequenceId: 7, highestSequenceId: 8, messages: 2, chunk: false, marker: false };
    const head = encodeSendHead(send, metadata, entryChecksum(metadata, payload), payload.length);
    expect(Buffer.concat([head, payload])).toEqual(golden('send'));
  });

  it('the metadata of a batch, and of a chunk', () => {
    const batch = encodeMetadata({
      producerName: 'isthmus/l/c/t/q',
      sequenceId: 125000,
      publishTime: 1763750000123,
      properties: [['ISTHMUS', '1;rmq-east;orders;broker-a:3;125000+2;md']],
      partitionKey: Buffer.from('kü'),
      compression: COMPRESSION.zstd,
      uncompressedBytes: 300,
      batch: { messages: 2, highestSequenceId: 125001 },
    });
    expect(batch).toEqual(golden('metadata'));
    const chunk = { uuid: 'n-7', index: 2, count: 3, totalBytes: 12582912 };
    const chunked = encodeMetadata({ producerName: 'n', sequenceId: 7, publishTime: 1, properties: [], eventTime: 5, chunk });
    expect(chunked).toEqual(golden('chunkMetadata'));
  });
});

describe('what the broker sends is read', () => {
  it('CONNECTED', () => {
    const connected = { serverVersion: 'Pulsar Server4.0.8', protocolVersion: 21, maxMessageBytes: 5242880 };
    expect(decodeConnected(received('connected').body)).toEqual(connected);
  });

  it('PRODUCER_SUCCESS, with fields that are none of ours', () => {
    expect(decodeProducerSuccess(received('producerSuccess').body)).toEqual({ requestId: 7, lastSequenceId: -1, ready: true });
  });

  it('SEND_RECEIPT, with ids beyond 32 bits', () => {
    const receipt = { producerId: 3, sequenceId: 2 ** 40, id: { ledger: 812, entry: 45 } };
    expect(decodeSendReceipt(received('receipt').body)).toEqual(receipt);
  });

  it('SEND_RECEIPT of a duplicate, which has no place', () => {
    const receipt = { producerId: 3, sequenceId: 5, id: { ledger: -1, entry: -1 } };
    expect(decodeSendReceipt(received('receiptOfDuplicate').body)).toEqual(receipt);
  });

  it('SEND_ERROR and ERROR', () => {
    expect(decodeSendError(received('sendError').body)).toEqual({ producerId: 3, sequenceId: 9, error: 15, message: 'done' });
    expect(decodeError(received('error').body)).toEqual({ requestId: -1, error: 6, message: 'later' });
  });

  it('LOOKUP_RESPONSE', () => {
    expect(decodeLookupResponse(received('lookupRedirect').body)).toMatchObject({
      requestId: 8,
      kind: 'redirect',
      url: 'pulsar://b:6650',
      urlTls: 'pulsar+ssl://b:6651',
      authoritative: true,
      proxied: false,
    });
    expect(decodeLookupResponse(received('lookupFailed').body)).toMatchObject({ kind: 'failed', error: 14, message: 'busy' });
  });

  it('the rest', () => {
    expect(decodePartitionedMetadataResponse(received('partitions').body)).toMatchObject({
      requestId: 4,
      partitions: 16,
      failed: false,
    });
    expect(decodeLastMessageId(received('lastMessageId').body)).toEqual({
      requestId: 4,
      id: { ledger: 5, entry: 6 },
      batchIndex: 31,
      markDelete: undefined,
    });
    expect(decodeAuthChallenge(received('authChallenge').body)).toEqual({ method: 'token' });
    expect(decodeClose(received('closeProducer').body)).toEqual({ id: 3 });
    expect(decodeMessage(received('message').body)).toEqual({ consumerId: 2, id: { ledger: 1, entry: 2 } });
  });
});

describe('an entry', () => {
  const metadata = golden('metadata');
  const body = Buffer.concat([metadata, Buffer.from('payload')]);
  const withChecksum = Buffer.concat([Buffer.from('0e0100000000', 'hex'), body]);

  it.each([
    ['as usual', withChecksum],
    ['of an old producer, without a checksum', body],
    ['with what the broker adds in front', Buffer.concat([Buffer.from('0e020000000208ff', 'hex').subarray(0, 8), withChecksum])],
  ])('gives its metadata %s', (_, entry) => {
    const { start, end } = locateMetadata(entry);
    expect(scanMetadata(new ProtoReader(entry, start, end), 'ISTHMUS')).toEqual({
      producerName: 'isthmus/l/c/t/q',
      sequenceId: 125000,
      highestSequenceId: 125001,
      messages: 2,
      batched: true,
      property: '1;rmq-east;orders;broker-a:3;125000+2;md',
    });
  });

  it('is read to its end, also where other properties follow the one that is asked for', () => {
    const properties = [
      ['other', 'x'],
      ['ISTHMUS', 'the mark'],
      ['ISTHMUS', 'a second one'],
      ['last', 'y'],
    ] as const;
    const batch = { messages: 3, highestSequenceId: 9 };
    const encoded = encodeMetadata({ producerName: 'p', sequenceId: 7, publishTime: 1, properties, batch });
    expect(scanMetadata(new ProtoReader(encoded, 4), 'ISTHMUS')).toMatchObject({
      property: 'the mark',
      messages: 3,
      highestSequenceId: 9,
    });
  });

  it('without the property that is asked for has none', () => {
    expect(scanMetadata(new ProtoReader(metadata, 4), 'OTHER').property).toBeUndefined();
  });
});

/** Everything that looks at bytes of a peer. */
const decoders: readonly ((body: ProtoReader) => unknown)[] = [
  decodeConnected,
  decodeProducerSuccess,
  decodeSendReceipt,
  decodeSendError,
  decodeError,
  decodeSuccess,
  decodeLookupResponse,
  decodePartitionedMetadataResponse,
  decodeLastMessageId,
  decodeAuthChallenge,
  decodeClose,
  decodeMessage,
  decodeGetSchemaResponse,
  decodeGetOrCreateSchemaResponse,
  (body) => scanMetadata(body, 'ISTHMUS'),
];

/** How a look at bytes ended: `read`, or the code of the refusal; anything else than an error of ours comes out. */
function outcome(read: () => unknown): string {
  try {
    read();
    return 'read';
  } catch (error) {
    if (error instanceof IsthmusError) return error.code;
    throw error;
  }
}

function outcomes(frame: Buffer): string[] {
  const looks = decoders.flatMap((decode) => [() => decode(new ProtoReader(frame)), () => decode(decodeFrame(frame).body)]);
  return [...new Set([() => locateMetadata(frame), ...looks].map(outcome))];
}

const ALLOWED = ['read', 'PROTOCOL_VIOLATION'];

describe('hostile bytes', () => {
  it('never do more than PROTOCOL_VIOLATION, whatever the frame', () => {
    const verdict = fc.check(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) =>
        outcomes(Buffer.from(bytes)).every((each) => ALLOWED.includes(each)),
      ),
      { numRuns: 1000 },
    );
    expect(verdict).toMatchObject({ failed: false });
  });

  it('cut or bent frames of a broker are read or refused', () => {
    const bend = fc.property(
      fc.constantFrom(...goldenNames),
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      (name, cut, place, value) => {
        const whole = golden(name).subarray(4);
        const bent = Buffer.from(whole.subarray(0, cut % (whole.length + 1)));
        if (bent.length > 0) bent[place % bent.length] = value;
        return outcomes(bent).every((each) => ALLOWED.includes(each));
      },
    );
    expect(fc.check(bend, { numRuns: 2000 })).toMatchObject({ failed: false });
  });

  it('make no difference when they come one at a time', () => {
    const stream = Buffer.concat(
      goldenNames.filter((name) => !/metadata|record|entry/i.test(name) || name === 'partitionedMetadata').map(golden),
    );
    const whole: string[] = [];
    new FrameSplitter(1024, (frame) => whole.push(frame.toString('hex'))).push(stream);
    const single: string[] = [];
    const splitter = new FrameSplitter(1024, (frame) => single.push(frame.toString('hex')));
    for (const byte of stream) splitter.push(Uint8Array.of(byte));
    expect(single).toEqual(whole);
    expect(single.length).toBeGreaterThan(15);
    expect(single.map((frame) => outcome(() => decodeFrame(Buffer.from(frame, 'hex'))))).toEqual(single.map(() => 'read'));
  });
});
