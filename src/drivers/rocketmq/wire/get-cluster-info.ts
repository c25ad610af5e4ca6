import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { brokerAddresses } from './get-route.ts';
import { mapIn, parseJsonObject } from './lenient-json.ts';

export interface ClusterInfo {
  /** Names of the RocketMQ clusters that the name server knows. */
  readonly clusters: readonly string[];
  /** Sorted by name; `master` is undefined while a broker has only replicas. */
  readonly brokers: readonly { readonly name: string; readonly master: string | undefined }[];
}

/** 106 GET_BROKER_CLUSTER_INFO, to a name server. */
export function getClusterInfo(): Request {
  return { code: RequestCode.GET_BROKER_CLUSTER_INFO, fields: [] };
}

export function readClusterInfo(answer: Command): ClusterInfo {
  const info = parseJsonObject(answer.body);
  const brokers: { name: string; master: string | undefined }[] = [];
  for (const [name, broker] of mapIn(info, 'brokerAddrTable')) {
    if (typeof name !== 'string' || !(broker instanceof Map)) continue;
    brokers.push({ name, master: brokerAddresses(broker).find(([id]) => id === 0)?.[1] });
  }
  brokers.sort((a, b) => (a.name < b.name ? -1 : 1));
  const clusters = [...mapIn(info, 'clusterAddrTable').keys()].filter((name) => typeof name === 'string');
  return { clusters, brokers };
}
