/** Policies of topics, over the admin REST. */
import type { pulsarEndpoints } from './brokers.ts';
import { eventually } from './mirror-under-test.ts';

/** Lets a topic of `public/default`, by its short name, take no message above so many bytes. Resolves when the broker says so; the topic has to exist. */
export async function setMessageLimit(
  { adminUrl }: Pick<ReturnType<typeof pulsarEndpoints>, 'adminUrl'>,
  topic: string,
  bytes: number,
): Promise<void> {
  const url = `${adminUrl}/admin/v2/persistent/public/default/${topic}/maxMessageSize`;
  const headers = { 'content-type': 'application/json' };
  // Policies travel through a topic of their own, which a fresh broker refuses for a moment.
  await eventually('the limit is taken', async () => (await fetch(url, { method: 'POST', headers, body: String(bytes) })).ok);
  await eventually('the limit shows', async () => (await (await fetch(url)).text()) === String(bytes));
}
