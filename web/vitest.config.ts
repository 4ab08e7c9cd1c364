import { defineConfig } from "vitest/config";

import { aliases } from "./aliases.js";

export default defineConfig({
  resolve: { alias: aliases, dedupe: ["react", "react-dom"] },
  test: { include: ["test/**/*.test.{ts,tsx}"], environment: "happy-dom" },
});
