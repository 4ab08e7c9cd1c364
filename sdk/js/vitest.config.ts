import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/*.test.ts", "test/store/*.test.ts"] } },
      // These start servers, which the setup builds.
      { test: { name: "real", include: ["test/real/*.test.ts"], globalSetup: "test/real/build.ts", testTimeout: 60_000 } },
    ],
  },
});
