import { fileURLToPath } from "node:url";
import { defineConfig, type Alias } from "vite";

import { aliases } from "./aliases.js";
import { target } from "./vite.config.js";

const preact = (name: string): string => fileURLToPath(import.meta.resolve(name));

/** React as the widget has it: small, and none of its own is in the page. */
export const preactAliases: Alias[] = [
  { find: /^react$/, replacement: preact("preact/compat") },
  { find: /^react-dom$/, replacement: preact("preact/compat") },
  { find: /^react-dom\/client$/, replacement: preact("preact/compat/client") },
  { find: /^react\/jsx(-dev)?-runtime$/, replacement: preact("preact/jsx-runtime") },
];

// /widget.js: the elements for other people's pages, in one file beside the client.
export default defineConfig({
  resolve: { alias: [...preactAliases, ...aliases], dedupe: ["preact"] },
  oxc: { jsx: { runtime: "automatic", importSource: "react" } },
  publicDir: false,
  build: {
    outDir: "built/app",
    emptyOutDir: false,
    target,
    modulePreload: false,
    rolldownOptions: { input: "src/widget/main.ts", output: { format: "iife", entryFileNames: "widget.js" } },
  },
});
