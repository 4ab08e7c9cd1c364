import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

import { aliases } from "./aliases.js";

/** Browsers that know light-dark(), native nesting and popovers. */
export const target = ["chrome123", "firefox125", "safari17.5"];

// The client at /. While it is worked on, `npm run dev` serves it and passes calls on to a server in development mode at 127.0.0.1:8080.
export default defineConfig({
  plugins: [react()],
  resolve: { alias: aliases, dedupe: ["react", "react-dom"] },
  build: {
    outDir: "built/app",
    emptyOutDir: true,
    target,
    assetsInlineLimit: 0, // the policy knows files, not data: but for images
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8080", ws: true }, "/dev": "http://127.0.0.1:8080" } },
});
