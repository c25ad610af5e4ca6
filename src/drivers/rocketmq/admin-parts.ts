import type { Network } from './network.ts';
import { accepted } from './refusal.ts';
import type { Routes } from './routes.ts';
import { type ClusterInfo, getClusterInfo, readClusterInfo } from './wire/get-cluster-info.ts';

/** What the administrative half works with. */
export interface AdminParts {
  readonly network: Network;
  readonly routes: Routes;
  readonly sleep: (millis: number) => Promise<void>;
}

export async function clusterInfo(network: Network): Promise<ClusterInfo> {
  return readClusterInfo(accepted(await network.callNamesrv(getClusterInfo()), 'asking for the brokers of the cluster'));
}
