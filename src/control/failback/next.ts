import type { LinkSpec } from '../../model/mirror-spec.ts';
import type { MirrorStatus } from '../api.ts';
import type { FailbackStatus, FailbackView, ReverseLink } from './api.ts';

/** A failback as people are shown it: with the way back, and what is to be done next. */
export function viewOf(status: FailbackStatus, links: Iterable<LinkSpec>, mirrors: readonly MirrorStatus[]): FailbackView {
  const reverse = [...links]
    .filter(({ from, to }) => from === status.to && to === status.from)
    .map(({ name }) =>
      reverseOf(
        name,
        mirrors.filter(({ link }) => link === name),
      ),
    );
  return { ...status, reverse, next: nextSteps(status, reverse) };
}

function reverseOf(link: string, mirrors: readonly MirrorStatus[]): ReverseLink {
  const sum = (values: readonly (number | null)[]): number | null =>
    values.includes(null) ? null : values.reduce<number>((total, value) => total + (value ?? 0), 0);
  const seconds = mirrors.map(({ lagSeconds }) => lagSeconds);
  return {
    link,
    mirrors: mirrors.length,
    running: mirrors.filter(({ state }) => state === 'running').length,
    lagRecords: sum(mirrors.map(({ lagRecords }) => lagRecords)),
    lagSeconds: seconds.includes(null) ? null : Math.max(0, ...seconds.map((value) => value ?? 0)),
  };
}

function nextSteps(status: FailbackStatus, reverse: readonly ReverseLink[]): string[] {
  const { state, policy, link, from, to, listing } = status;
  if (state === 'running') return [];
  if (state === 'listed' && listing !== null)
    return [
      listing.records === 0
        ? `${from} has nothing that ${to} has not: go on with the policy append, which only lets the mirrors of ${link} run again`
        : `say what becomes of the ${listing.records} records: isthmus failback ${link} --policy append, drop or review`,
    ];
  if (state !== 'done')
    return [policy === null ? `list again: isthmus failback ${link}` : `go on where it ended: the same policy again (${policy})`];
  if (reverse.length === 0)
    return [
      `no link from ${to} to ${from} is in this configuration: in the process that has it, wait until it has caught up, then plan its failover`,
    ];
  return reverse.flatMap(({ link: name, mirrors, running, lagRecords }) => [
    lagRecords === 0 && running === mirrors
      ? `${name} has caught up`
      : `${name} is ${lagRecords ?? 'an unknown number of'} records behind, ${running} of its ${mirrors} mirrors run: wait until it has caught up`,
    `then plan the way back: isthmus failover plan ${name}`,
  ]);
}
