import react from "@vitejs/plugin-react";
import { defineConfig, type ViteDevServer } from "vite";

import { aliases } from "./aliases.js";

/** Browsers that know light-dark(), native nesting and popovers. */
export const target = ["chrome123", "firefox125", "safari17.5"];

// The client at /. While it is worked on, `npm run dev` serves it and passes calls on to a server in development mode at 127.0.0.1:8080.
export default defineConfig({
  plugins: [react(), { name: "emoji", enforce: "pre", configureServer, load }],
  resolve: { alias: aliases, dedupe: ["react", "react-dom"] },
  build: {
    outDir: "built/app",
    emptyOutDir: true,
    target,
    assetsInlineLimit: 0, // the policy knows files, not data: but for images
    modulePreload: { polyfill: false },
    rolldownOptions: {
      // The choice of emoji is asked for by the client and by the elements in other pages, so it has a name.
      input: { index: "index.html", emoji: "src/emoji/picker.ts" },
      preserveEntrySignatures: "strict",
      output: { entryFileNames: ({ name }) => (name === "emoji" ? "emoji.js" : "assets/[name]-[hash].js") },
    },
  },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8080", ws: true }, "/dev": "http://127.0.0.1:8080" } },
});

/** While it is worked on, the choice of emoji is its source. */
function configureServer({ middlewares }: ViteDevServer): void {
  middlewares.use((request, _, next) => {
    if (request.url === "/emoji.js") request.url = "/src/emoji/picker.ts";
    next();
  });
}

/** What comes later is one script: nothing is to be loaded before it. */
function load(id: string): string | undefined {
  return id === "\0vite/preload-helper.js" ? "export const __vitePreload = (load) => load();" : undefined;
}
