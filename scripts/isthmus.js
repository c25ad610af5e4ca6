#!/usr/bin/env node
/** The `isthmus` command: the sources in a checkout, the compiled program elsewhere. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup/install.js';
import { runScript } from './setup/run.js';

const source = join(root, 'src', 'main.ts');
const compiled = join(root, 'dist', 'main.js');
const main = existsSync(source) ? source : compiled;
if (existsSync(main)) {
  await runScript(main, process.argv.slice(2));
} else {
  console.error(`neither ${source} nor ${compiled} is there: run "npm run build" first`);
  process.exitCode = 2;
}
