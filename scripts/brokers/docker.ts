import { BrokersError, type Report } from './errors.ts';
import type { Provider } from './provider.ts';

export function dockerProvider(_options: { readonly offset: number; readonly report: Report }): Provider {
  throw new BrokersError('not built yet', 2);
}
