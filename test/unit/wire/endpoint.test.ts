import { describe, expect, it } from 'vitest';
import { parseEndpoint } from '../../../src/wire/endpoint.ts';

describe('an endpoint', () => {
  it.each([
    ['broker-1:9876', { host: 'broker-1', port: 9876 }],
    ['10.0.0.1:1', { host: '10.0.0.1', port: 1 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
  ])('is read from %s', (text, expected) => {
    expect(parseEndpoint(text)).toEqual(expected);
  });

  it.each(['', 'host', 'host:', ':9876', 'host:0', 'host:65536', 'host:9876x', 'a b:1', '::1:9876', '[::1]', 'http://host:80/'])(
    'refuses "%s" and says how it is written',
    (text) => {
      expect(() => parseEndpoint(text)).toThrow(/host:port/);
    },
  );
});
