#!/usr/bin/env bash
# Runs every test: the npm packages first (the web client is built into the binary that the Go tests start),
# then all of Go, then the packages that live on concurrency once more under the race detector.
set -euo pipefail
cd "$(dirname "$0")/.."

# Two packages at a time: each starts servers of its own, and a small machine has two cores.
readonly parallel=2 timeout=40m
readonly concurrent=(internal/cluster internal/delivery internal/gateway internal/store internal/broker internal/feed internal/state internal/presence internal/rates client)

scripts/deps.sh
scripts/web.sh

manifests=$(git ls-files --cached --others --exclude-standard '*package.json')
for manifest in $manifests; do
  folder=$(dirname "$manifest")
  echo "== npm test: $folder"
  if [[ -e "$folder/package-lock.json" ]]; then npm --prefix "$folder" ci --no-audit --no-fund; fi
  npm --prefix "$folder" test
done

echo '== go test'
go test -p "$parallel" -timeout "$timeout" ./...

# -count=1: what it reads lies outside of its module, where the cache does not look.
echo '== go test: what is shipped under deploy'
(cd deploy/check && go test -count=1 -timeout "$timeout" ./...)

raced=()
for package in "${concurrent[@]}"; do
  if [[ -d "$package" ]]; then raced+=("./$package/..."); fi
done
if ((${#raced[@]} > 0)); then
  echo '== go test -race -short'
  CGO_ENABLED=1 go test -race -short -p "$parallel" -timeout "$timeout" "${raced[@]}"
fi
