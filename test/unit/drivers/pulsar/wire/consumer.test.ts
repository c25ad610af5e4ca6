import { describe, expect, it } from 'vitest';
import {
  decodeAckResponse,
  decodeActiveConsumerChange,
  encodeCumulativeAck,
  encodeDurableSubscribe,
  encodeSeek,
} from '../../../../../src/drivers/pulsar/wire/consumer.ts';
import { decodeLastMessageId } from '../../../../../src/drivers/pulsar/wire/last-message-id.ts';
import { decodeFrame } from '../frames.ts';
import { type GoldenName, golden } from './golden.ts';

function received(name: GoldenName): ReturnType<typeof decodeFrame> {
  return decodeFrame(golden(name).subarray(4));
}

describe('commands of a consumer are written as Pulsar’s own code writes them', () => {
  it('SUBSCRIBE with a durable cursor', () => {
    const subscribe = { topic: 't', subscription: 's', consumerId: 4, consumerName: 'c', priority: -7 };
    expect(encodeDurableSubscribe(5, subscribe)).toEqual(golden('durableSubscribe'));
  });

  it('a cumulative ACK, also before the first entry of a ledger', () => {
    expect(encodeCumulativeAck(6, 4, { ledger: 812, entry: -1 })).toEqual(golden('cumulativeAck'));
  });

  it('SEEK', () => {
    expect(encodeSeek(7, 4, { ledger: 812, entry: 45 })).toEqual(golden('seek'));
  });
});

describe('what a broker tells a consumer is read', () => {
  it('ACK_RESPONSE with an error', () => {
    expect(decodeAckResponse(received('ackResponse').body)).toEqual({ requestId: 6, error: 13, message: 'gone' });
  });

  it('ACTIVE_CONSUMER_CHANGE', () => {
    expect(decodeActiveConsumerChange(received('activeConsumerChange').body)).toEqual({ consumerId: 4, active: true });
  });

  it('where the topic ends and where the subscription is', () => {
    expect(decodeLastMessageId(received('lastMessageIdOfConsumer').body)).toEqual({
      requestId: 4,
      id: { ledger: 5, entry: 6 },
      batchIndex: 31,
      markDelete: { ledger: 5, entry: 2 },
    });
  });
});
