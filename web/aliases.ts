import { fileURLToPath } from "node:url";

const sdk = (file: string): string => fileURLToPath(new URL(`../sdk/${file}`, import.meta.url));

/** The SDK as it stands in this repository, not as it was built last. */
export const aliases = [
  { find: "@parley-im/client/testing", replacement: sdk("js/src/testing/index.ts") },
  { find: "@parley-im/client", replacement: sdk("js/src/index.ts") },
  { find: "@parley-im/react", replacement: sdk("react/src/index.tsx") },
];
