import { defineConfig } from "vitest/config";

import { aliases } from "./aliases.js";
import { preactAliases } from "./widget.config.js";

const environment = "happy-dom";

export default defineConfig({
  test: {
    projects: [
      { resolve: { alias: aliases, dedupe: ["react", "react-dom"] }, test: { name: "react", include: ["test/**/*.test.{ts,tsx}"], environment } },
      // What is in other people's pages stands on another React.
      { resolve: { alias: [...preactAliases, ...aliases], dedupe: ["preact"] }, test: { name: "preact", include: ["test/widget.test.ts", "test/live-view.test.tsx"], environment, server: { deps: { inline: [/virtua/] } } } },
    ],
  },
});
