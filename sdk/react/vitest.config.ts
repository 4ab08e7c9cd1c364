import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const client = (file: string): string => fileURLToPath(new URL(`../js/src/${file}`, import.meta.url));

export default defineConfig({
  // The client as it stands in this repository, not as it was built last.
  resolve: { alias: [
    { find: "@parley-im/client/testing", replacement: client("testing/index.ts") },
    { find: "@parley-im/client", replacement: client("index.ts") },
  ] },
  test: { include: ["test/**/*.test.tsx"], environment: "happy-dom" },
});
