/** Runs a script on a Node that is new enough for TypeScript sources: this one, or the project's own. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { pathToFileURL } from 'node:url';
import { pinnedNode } from './install.js';

/** The first Node whose type stripping is stable, and the one that package.json asks for. */
const nodeMajor = 24;

/** Runs `file` as if it had been started with `args`; this process ends as it ends. */
export async function runScript(file, args) {
  if (Number(process.versions.node.split('.')[0]) >= nodeMajor) {
    process.argv = [process.execPath, file, ...args];
    await import(pathToFileURL(file).href);
    return;
  }
  const child = spawn(pinnedNode, [file, ...args], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // Ctrl+C reaches the whole foreground group by itself; handed on, the child would see it twice.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.once('error', (error) => {
    console.error(`${pinnedNode} does not run (${error.message}). Run "npm run setup" first.`);
    process.exitCode = 2;
  });
  child.once('close', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}
