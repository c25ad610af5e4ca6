import { IsthmusError } from '../../errors.ts';
import type { FailoverHook } from '../../model/mirror-spec.ts';

/** What a hook is told of its failover. */
export interface HookContext {
  readonly link: string;
  readonly kind: string;
  readonly step: 'fence' | 'release';
  readonly failover: string;
}

/** Runs a command or calls a webhook. Rejects with what it said when it fails, or takes too long. */
export type RunHook = (hook: FailoverHook, context: HookContext, signal: AbortSignal) => Promise<void>;

/** One after the other; the first that fails ends it. They may run again after a crash: each has to mind no second time. */
export async function runHooks(
  hooks: readonly FailoverHook[],
  context: HookContext,
  run: RunHook,
  signal: AbortSignal,
): Promise<string> {
  for (const [i, hook] of hooks.entries()) {
    try {
      await run(hook, context, signal);
    } catch (error) {
      throw new IsthmusError(
        'HOOK_FAILED',
        `running the ${context.step} hook ${i + 1} of ${hooks.length} (${describeHook(hook)}): ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
  }
  return hooks.length === 0 ? 'no hooks are configured' : `${hooks.length} hooks have run`;
}

/** Without arguments and paths, which may hold secrets. */
function describeHook(hook: FailoverHook): string {
  return 'command' in hook ? (hook.command[0] ?? 'a command') : new URL(hook.webhook).origin;
}
