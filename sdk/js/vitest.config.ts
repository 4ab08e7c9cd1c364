import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const client = fileURLToPath(new URL("src/index.ts", import.meta.url)); // as the programs of the documents name it

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/*.test.ts", "test/store/*.test.ts"] } },
      // These start servers, which the setup builds.
      {
        resolve: { alias: { "@parley-im/client": client } },
        test: { name: "real", include: ["test/real/*.test.ts"], globalSetup: "test/real/build.ts", testTimeout: 60_000 },
      },
    ],
  },
});
