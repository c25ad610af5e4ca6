import { readFile } from 'node:fs/promises';
import { IsthmusError } from '../../../errors.ts';
import type { PulsarAuthOptions } from '../options.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** Who we are, as brokers and the admin REST want to hear it. */
export interface Credentials {
  /** `auth_method_name` of the protocol. */
  readonly method: string;
  /** `auth_data`, made anew for each connection and each challenge. Rejects with ACCESS_DENIED. */
  data(): Promise<Buffer>;
  /** The `Authorization` header of the admin REST. */
  header(): Promise<string | undefined>;
}

export function credentialsOf(auth: PulsarAuthOptions | undefined): Credentials {
  if (auth === undefined) return withoutToken('none');
  if (auth.kind === 'tls') return withoutToken('tls');
  const token = auth.kind === 'token' ? async (): Promise<string> => auth.token : (): Promise<string> => readToken(auth.path);
  return {
    method: 'token',
    data: async () => Buffer.from(await token()),
    header: async () => `Bearer ${await token()}`,
  };
}

function withoutToken(method: string): Credentials {
  return { method, data: async () => NOTHING, header: async () => undefined };
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new IsthmusError(
      'ACCESS_DENIED',
      `reading the token file ${path}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
