/**
 * Loaded before the replicator (`--import`): each SIGUSR2 steps its wall clock, first an hour forward, then two hours back, then an hour forward to where it was.
 * The monotonic clock runs on, as it does on a machine whose clock is set.
 */
const steps = [3_600_000, -7_200_000, 3_600_000];
const RealDate = Date;
let shiftMillis = 0;
let next = 0;

process.on('SIGUSR2', () => {
  shiftMillis += steps[next++ % steps.length] ?? 0;
});

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [RealDate.now() + shiftMillis] : args, newTarget),
  apply: () => new RealDate(RealDate.now() + shiftMillis).toString(),
  get: (target, name) => (name === 'now' ? () => RealDate.now() + shiftMillis : Reflect.get(target, name)),
});
