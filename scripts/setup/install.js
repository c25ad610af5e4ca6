/**
 * Installs the packages of a checkout. Plain JavaScript without dependencies: it runs on whatever Node is there (18 or
 * newer), before the Node that the project asks for is.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The Node of the project, an npm package. */
export const pinnedNode = join(root, 'node_modules', '.bin', 'node');

const nodeMajor = 24;

/** Installs what package-lock.json asks for unless it is there. Throws with a message for people if that fails. */
export async function ensureInstalled() {
  if (isInstalled()) return;
  await npmCi();
  const problem = pinnedNodeProblem();
  if (problem !== undefined) {
    throw new Error(
      `npm ci has finished, but ${problem}. The npm package "node" fetches it in its install script: ` +
        'allow install scripts (npm config get ignore-scripts should say false) and run "npm ci" again.',
    );
  }
}

/** Whether node_modules holds exactly the locked packages. Dates would not tell: npm and git both touch these files. */
export function isInstalled() {
  // npm writes this file when an installation is complete.
  const installed = packagesOf(join(root, 'node_modules', '.package-lock.json'));
  const wanted = packagesOf(join(root, 'package-lock.json'));
  if (installed === undefined || wanted === undefined) return false;
  const same = Object.entries(wanted).every(([path, { version, optional }]) => {
    // The root itself, and packages for other systems, are not listed as installed.
    return path === '' || (optional === true && installed[path] === undefined) || installed[path]?.version === version;
  });
  return same && existsSync(pinnedNode);
}

function packagesOf(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : undefined;
}

function npmCi() {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  console.error('Installing npm packages (npm ci) ...');
  const timer = setInterval(() => console.error(`... still installing, ${seconds()} s`), 5_000);
  // Under "npm run", npm names itself; standard output belongs to the script that comes after.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const stdio = ['ignore', 2, 2];
  const child = npm ? spawn(process.execPath, [npm, ...args], { cwd: root, stdio }) : spawn('npm', args, { cwd: root, stdio });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) {
        console.error(`npm packages are installed, ${seconds()} s`);
        resolve();
      } else {
        reject(new Error(`npm ci failed with exit code ${code}; its messages are above. Run the same command again.`));
      }
    });
  }).finally(() => clearInterval(timer));
}

function pinnedNodeProblem() {
  const { stdout, error } = spawnSync(pinnedNode, ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return `${pinnedNode} does not run (${error.message})`;
  const version = stdout.trim();
  return Number(version.slice(1).split('.')[0]) >= nodeMajor
    ? undefined
    : `${pinnedNode} is ${version}, not ${nodeMajor} or newer`;
}
