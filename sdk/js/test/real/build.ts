import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** the path of the server's binary */
    parley: string;
  }
}

/** Builds the server that the tests in this folder start. SERVER_BINARY names one that is there already. */
export default function setup(project: TestProject): (() => void) | undefined {
  const given = process.env["SERVER_BINARY"];
  if (given) {
    project.provide("parley", given);
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), "parley-sdk-"));
  const binary = join(folder, "parley");
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  execFileSync("go", ["build", "-o", binary, "./cmd/parley"], { cwd: root, stdio: "inherit", env: { ...process.env, CGO_ENABLED: "0" } });
  project.provide("parley", binary);
  return () => rmSync(folder, { recursive: true, force: true });
}
