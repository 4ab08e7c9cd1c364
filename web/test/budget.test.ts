// @vitest-environment node
// What a first visit costs: the script of the page at /, as it is built now.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, test } from "vitest";

const most = 160 * 1024;

test(`the first page brings at most ${most} bytes of script, compressed`, async () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const { output } = (await build({ root, configFile: `${root}vite.config.ts`, logLevel: "silent", build: { write: false } })) as Rolldown.RolldownOutput;
  const scripts = output.filter((file) => file.type === "chunk");
  const size = scripts.reduce((sum, { code }) => sum + gzipSync(code).length, 0);
  console.info(`the first page brings ${size} bytes`);
  expect(scripts.length).toBeGreaterThan(0);
  expect(size).toBeLessThanOrEqual(most);
  for (const { code } of scripts) expect(code).not.toMatch(/eval\(|new Function/);
}, 60_000);
