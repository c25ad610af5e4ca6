import type { VerificationAnswer } from '../../src/cli/answers.ts';
import { eventually, type MirrorUnderTest } from './mirror-under-test.ts';

/** Runs a verification to its end, over the API; `request` is the body of POST /v1/verifications. */
export async function verification(mirror: MirrorUnderTest, request: object): Promise<VerificationAnswer> {
  const { status, body } = await mirror.api<VerificationAnswer>('POST', '/v1/verifications', request);
  if (status >= 400) throw new Error(`the verification is refused: ${JSON.stringify(body)}`);
  let last = body;
  await eventually(
    'it is compared',
    async () => {
      last = (await mirror.api<VerificationAnswer>('GET', `/v1/verifications/${body.id}`)).body;
      return last.state !== 'running';
    },
    mirror.process,
  );
  return last;
}
