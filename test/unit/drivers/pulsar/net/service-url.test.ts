import { describe, expect, it } from 'vitest';
import { parseServiceUrl } from '../../../../../src/drivers/pulsar/net/service-url.ts';

describe('a service URL', () => {
  it('may name several hosts, with and without a port', () => {
    expect(parseServiceUrl('pulsar://a:1,b,[::1]:2,[::2]')).toEqual({
      tls: false,
      endpoints: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6650 },
        { host: '::1', port: 2 },
        { host: '::2', port: 6650 },
      ],
    });
  });

  it('with TLS has another port', () => {
    expect(parseServiceUrl('pulsar+ssl://a/')).toEqual({ tls: true, endpoints: [{ host: 'a', port: 6651 }] });
  });

  it.each(['', 'a:6650', 'http://a:6650', 'pulsar://', 'pulsar://a:0', 'pulsar://a b', 'pulsar://a:6650/x'])(
    'cannot be "%s"',
    (text) => {
      expect(() => parseServiceUrl(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    },
  );
});
