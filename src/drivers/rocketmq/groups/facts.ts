import { IsthmusError } from '../../../errors.ts';
import type { Clock } from '../../../spi/clock.ts';
import { clusterInfo } from '../admin-parts.ts';
import type { Network } from '../network.ts';
import { ResponseCode } from '../wire/codes.ts';
import { getConsumerGroup, readsInOrder } from '../wire/consumer-group.ts';
import { getGroupMembers, readGroupMembers } from '../wire/group-members.ts';

/** A broker's name and the address of its master. */
export interface Master {
  readonly name: string;
  readonly address: string;
}

export interface Members {
  readonly count: number;
  readonly pops: boolean;
}

/** What costs a request for each group is kept for a while: with a thousand groups that are looked at every few seconds, it would be most of the work. */
export class GroupFacts {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #members = new Kept<Members>(15_000);
  readonly #inOrder = new Kept<boolean>(60_000);

  constructor(network: Network, clock: Clock) {
    this.#network = network;
    this.#clock = clock;
  }

  /** All brokers' masters. Rejects with BROKER_BUSY when one has none now: its groups would look as if they were gone. */
  async masters(): Promise<readonly Master[]> {
    const { brokers } = await clusterInfo(this.#network);
    return brokers.map(({ name, master }) => {
      if (master === undefined)
        throw new IsthmusError('BROKER_BUSY', `looking at consumer groups: broker ${name} has no master now`);
      return { name, address: master };
    });
  }

  keptMembers(group: string, masters: readonly Master[]): Promise<Members> {
    return this.#members.get(group, this.#clock.monotonic(), () => this.members(group, masters));
  }

  /** Who is connected now. A client is known at each broker, one behind a proxy perhaps at one of them only. */
  async members(group: string, masters: readonly Master[]): Promise<Members> {
    const clients = new Set<string>();
    let pops = false;
    for (const { address } of masters) {
      const found = readGroupMembers(await this.#network.call(address, getGroupMembers(group)));
      for (const client of found?.clients ?? []) clients.add(client);
      pops ||= found?.consumeType === 'CONSUME_POP';
    }
    return { count: clients.size, pops };
  }

  /** Whether the group's POP consumers get the messages of a queue one after the other. */
  readsInOrder(group: string, { address }: Master): Promise<boolean> {
    return this.#inOrder.get(`${address} ${group}`, this.#clock.monotonic(), async () => {
      const answer = await this.#network.call(address, getConsumerGroup(group));
      return answer.code === ResponseCode.SUCCESS && readsInOrder(answer);
    });
  }
}

const MAX_KEPT = 20_000;

/** Answers that are good for some time. */
class Kept<T> {
  readonly #millis: number;
  readonly #values = new Map<string, { readonly at: number; readonly value: T }>();

  constructor(millis: number) {
    this.#millis = millis;
  }

  async get(key: string, now: number, ask: () => Promise<T>): Promise<T> {
    const known = this.#values.get(key);
    if (known !== undefined && now - known.at < this.#millis) return known.value;
    const value = await ask();
    if (this.#values.size >= MAX_KEPT) this.#values.clear();
    this.#values.set(key, { at: now, value });
    return value;
  }
}
