#!/usr/bin/env node
// Plain JavaScript that any Node can read, so that a wrong Node is told in one sentence instead of a stack trace.
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `lockwarden needs Node 22.19 or later, and this is ${process.versions.node}: in a checkout run \`npm ci\` and use its npm scripts, which bring the right one`,
  );
  process.exit(2);
}

// A package holds the compiled program, a checkout its sources.
const compiled = new URL('../dist/main.js', import.meta.url);
const source = new URL('../src/main.ts', import.meta.url);
const { main } = await import((existsSync(source) ? source : compiled).href);
process.exitCode = await main(process.argv.slice(2));
