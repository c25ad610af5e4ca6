import { createHash, timingSafeEqual } from 'node:crypto';
import type { HttpConfig } from '../config/types.ts';
import { IsthmusError } from '../errors.ts';

/** Who asks. */
export interface Principal {
  readonly name: string;
  readonly role: 'admin' | 'read';
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Who a request comes from, by its Authorization header. Throws UNAUTHORIZED. Without any tokens, everybody who reaches us may do everything
 * (the configuration refuses that beyond this machine).
 *
 * Every token is compared, by digests of one length: neither the time nor the first difference tells anything about them.
 */
export function createAuthenticator(tokens: HttpConfig['tokens']): (header: string | undefined) => Principal {
  const known = tokens.map(({ name, role, token }) => ({ name, role, digest: digest(token) }));
  return (header) => {
    if (known.length === 0) return { name: 'local', role: 'admin' };
    const given = /^Bearer +([\x21-\x7e]+)$/i.exec(header ?? '')?.[1];
    if (given === undefined) {
      throw new IsthmusError('UNAUTHORIZED', 'authenticating: no token; send the header "Authorization: Bearer TOKEN"');
    }
    const candidate = digest(given);
    const matches = known.filter((entry) => timingSafeEqual(entry.digest, candidate));
    const [match] = matches;
    if (match === undefined) throw new IsthmusError('UNAUTHORIZED', 'authenticating: this token is not known');
    return { name: match.name, role: match.role };
  };
}
