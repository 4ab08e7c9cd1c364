#!/usr/bin/env bash
# Judges the code without running it. Every check runs, so that one look shows all there is to mend.
set -euo pipefail
cd "$(dirname "$0")/.."

tool() { go tool -modfile=tools/go.mod "$@"; }

format() {
  local unformatted
  unformatted=$(tool gofumpt -l .) || return
  [[ -z "$unformatted" ]] || { echo "$unformatted"; echo 'make fmt formats these.'; return 1; }
}

# Nothing may be out of reach of a command or a test.
dead_code() {
  local unreachable
  unreachable=$(tool deadcode -test ./...) || return
  [[ -z "$unreachable" ]] || { echo "$unreachable"; return 1; }
}

failed=()
check() {
  local name=$1
  shift
  echo "== $name"
  "$@" || failed+=("$name")
}

check gofumpt format
check 'go vet' go vet ./...
check staticcheck tool staticcheck ./...
check deadcode dead_code
check archtest go test -count=1 ./internal/archtest

if ((${#failed[@]} > 0)); then
  (IFS=,; echo "lint: failed: ${failed[*]}" >&2)
  exit 1
fi
