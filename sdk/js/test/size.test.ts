import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const most = 20 * 1024;

test(`the whole package is at most ${most} bytes, minified and compressed, and depends on nothing`, async () => {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const { outputFiles, metafile } = await build({ entryPoints: [entry], bundle: true, minify: true, write: false, format: "esm", target: "es2022", metafile: true });
  const size = gzipSync(outputFiles[0]?.contents ?? new Uint8Array()).length;
  console.info(`the package is ${size} bytes`);
  expect(size).toBeLessThanOrEqual(most);
  expect(Object.keys(metafile.inputs).filter((input) => input.includes("node_modules"))).toEqual([]);
  expect(Object.keys(metafile.inputs).filter((input) => input.includes("/testing/"))).toEqual([]);
});
