#!/usr/bin/env bash
# Builds the web client into web/built/app, which go build embeds: npm ci only when the lock file has changed, the build only when
# something that it is made of is newer. Without Node it says so and leaves the binary without a client; with CI set that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
  echo 'web: MISSING: Node with npm. The binary is built without the web client.' >&2
  [[ -z "${CI:-}" ]]
  exit
fi

readonly installed=web/node_modules/.package-lock.json built=web/built/app/widget.js # what is built last
if [[ ! -e "$installed" || web/package-lock.json -nt "$installed" ]]; then
  npm --prefix web ci --no-audit --no-fund >&2
  touch "$installed"
fi

sources=(web/src web/public web/index.html web/*.ts web/package.json web/package-lock.json sdk/js/src sdk/react/src)
if [[ ! -e "$built" || -n "$(find "${sources[@]}" -newer "$built" -print -quit)" ]]; then
  npm --prefix web run build >&2
fi
