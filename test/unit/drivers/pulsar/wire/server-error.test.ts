import { describe, expect, it } from 'vitest';
import { serverError } from '../../../../../src/drivers/pulsar/wire/server-error.ts';

/** ServerError of Pulsar 4.0.8, by number. */
const NAMES = [
  'UnknownError',
  'MetadataError',
  'PersistenceError',
  'AuthenticationError',
  'AuthorizationError',
  'ConsumerBusy',
  'ServiceNotReady',
  'ProducerBlockedQuotaExceededError',
  'ProducerBlockedQuotaExceededException',
  'ChecksumError',
  'UnsupportedVersionError',
  'TopicNotFound',
  'SubscriptionNotFound',
  'ConsumerNotFound',
  'TooManyRequests',
  'TopicTerminatedError',
  'ProducerBusy',
  'InvalidTopicName',
  'IncompatibleSchema',
  'ConsumerAssignError',
  'TransactionCoordinatorNotFound',
  'InvalidTxnStatus',
  'NotAllowedError',
  'TransactionConflict',
  'TransactionNotFound',
  'ProducerFenced',
];

describe('an error of the broker', () => {
  it.each(NAMES.map((name, number) => [number, name] as const))('%i is called %s', (number, name) => {
    expect(serverError(number, 'why', 'doing something').message).toBe(`doing something: ${name}: why`);
  });

  it('that time heals is retried, one that it does not is final', () => {
    const retryable = NAMES.filter((_, number) => serverError(number, '', '').retryable);
    expect(retryable).toEqual([
      'UnknownError',
      'MetadataError',
      'PersistenceError',
      'AuthenticationError',
      'AuthorizationError',
      'ConsumerBusy',
      'ServiceNotReady',
      'ProducerBlockedQuotaExceededError',
      'ProducerBlockedQuotaExceededException',
      'ChecksumError',
      'TopicNotFound',
      'ConsumerNotFound',
      'TooManyRequests',
      'ProducerBusy',
      'ConsumerAssignError',
    ]);
  });

  it('of a newer broker is retried and keeps its number', () => {
    expect(serverError(99, 'new', 'doing')).toMatchObject({
      code: 'BROKER_BUSY',
      retryable: true,
      message: 'doing: ServerError 99: new',
    });
  });

  it('leaves the broker’s stack behind', () => {
    expect(serverError(0, 'java.lang.X: no\n\tat a.b.C(D.java:1)', 'doing').message).toBe('doing: UnknownError: java.lang.X: no');
  });
});
