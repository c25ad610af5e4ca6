import { createHmac } from 'node:crypto';
import type { Field, Request } from './command.ts';

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly securityToken: string | undefined;
}

/**
 * Signs a request (AclClientRPCHook, AclUtils): the values of all fields in the order of their names, then the body,
 * under HMAC-SHA1. Whatever is sent must be signed, so this comes last. Code, opaque and flag are not covered.
 */
export function signRequest(request: Request, credentials: Credentials): Request {
  const fields: Field[] = [...request.fields, ['AccessKey', credentials.accessKey]];
  if (credentials.securityToken !== undefined) fields.push(['SecurityToken', credentials.securityToken]);
  // Java's String order and JavaScript's are both by UTF-16 unit.
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  const hmac = createHmac('sha1', credentials.secretKey).update(fields.map(([, value]) => value).join(''));
  if (request.body !== undefined) hmac.update(request.body);
  fields.push(['Signature', hmac.digest('base64')]);
  return { ...request, fields };
}
