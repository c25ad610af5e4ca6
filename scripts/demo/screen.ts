/** What the demo shows: lines that stay, and below them one line of live figures that is drawn again and again. */

export type Screen = {
  /** A line that stays. */
  readonly say: (text: string) => void;
  /** A line that stays, with the time in front. */
  readonly note: (text: string) => void;
  /** The heading of a step. */
  readonly step: (text: string) => void;
  /** The live line: redrawn in a terminal; elsewhere written every few seconds, where it has changed. */
  readonly live: (text: string) => void;
  /** Ends the live line, which stays as it is. */
  readonly settle: () => void;
  readonly seconds: () => number;
};

/** How often the live line is written where it cannot be redrawn. */
const plainMillis = 2_000;

export type Output = { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown };

export function openScreen(output: Output): Screen {
  const began = performance.now();
  const redraws = output.isTTY === true;
  let steps = 0;
  let live = '';
  let writtenAt = Number.NEGATIVE_INFINITY;
  let written = '';
  const seconds = (): number => (performance.now() - began) / 1000;
  const stamped = (text: string): string => `${seconds().toFixed(1).padStart(6)} s  ${text}`;
  const erase = (): void => {
    if (redraws && live !== '') output.write('\r\u001b[2K');
  };
  const draw = (): void => {
    if (redraws && live !== '') output.write(live.slice(0, (output.columns ?? 80) - 1));
  };
  const say = (text: string): void => {
    erase();
    output.write(`${text}\n`);
    draw();
  };
  return {
    say,
    note: (text) => say(stamped(text)),
    step: (text) => say(`\n${stamped(`${++steps}. ${text}`)}`),
    live: (text) => {
      const line = stamped(`  ${text}`);
      if (redraws) {
        erase();
        live = line;
        draw();
      } else if (performance.now() - writtenAt >= plainMillis && text !== written) {
        writtenAt = performance.now();
        written = text;
        output.write(`${line}\n`);
      }
    },
    settle: () => {
      if (redraws && live !== '') output.write('\n');
      live = '';
      writtenAt = Number.NEGATIVE_INFINITY;
    },
    seconds,
  };
}
