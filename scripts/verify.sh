#!/usr/bin/env bash
# Checks that what is made from something else is what it would be if it were made now:
# generated files (made again, and left so where they differ), go.mod and go.sum.
set -euo pipefail
cd "$(dirname "$0")/.."

# snapshot prints a checksum and a name for every file that git would keep.
snapshot() {
  git ls-files -z --cached --others --exclude-standard --deduplicate |
    while IFS= read -r -d '' file; do [[ ! -f "$file" ]] || printf '%s\0' "$file"; done |
    xargs -0 sha1sum
}

status=0

echo '== go generate'
before=$(snapshot)
go generate ./...
if ! changed=$(diff <(echo "$before") <(snapshot)); then
  echo 'These were out of date; go generate ./... has made them anew:' >&2
  awk '/^[<>]/ { print "  " $3 }' <<<"$changed" | sort -u >&2
  status=1
fi

for module in . tools deploy/check; do
  echo "== go mod tidy and verify: $module"
  go -C "$module" mod tidy -diff || status=1
  go -C "$module" mod verify || status=1
done
exit $status
