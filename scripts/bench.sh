#!/usr/bin/env bash
# Starts a fresh server on a free loopback port, runs the load generator's scenarios against it in short form and stops it.
#
#   scripts/bench.sh [--json] [--duration 10s] [SCENARIO...]
set -euo pipefail
cd "$(dirname "$0")/.."

duration=10s
scenarios=()
flags=()
while (($# > 0)); do
  case $1 in
    --json) flags+=(--json) ;;
    --duration) duration=${2:?--duration needs a time}; shift ;;
    -*) echo "usage: ${0##*/} [--json] [--duration 10s] [SCENARIO...]" >&2; exit 2 ;;
    *) scenarios+=("$1") ;;
  esac
  shift
done
((${#scenarios[@]} > 0)) || scenarios=(rooms fanout durable storm idle)
[[ -x bin/parley ]] || { echo 'There is no bin/parley: make build makes it.' >&2; exit 1; }

# A connection costs a file descriptor at each end.
ulimit -n "$(ulimit -Hn)"

folder=$(mktemp -d)
server=
stop() {
  if [[ -n "$server" ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

bin/parley serve --listen 127.0.0.1:0 --data "$folder/data" --log-format json \
  --limits-messages-per-second 0 --limits-burst 0 \
  --limits-room-messages-per-second 0 --limits-room-burst 0 >"$folder/log" 2>&1 &
server=$!

address=
for ((tries = 0; tries < 300; tries++)); do
  address=$(sed -n '/"msg":"listening"/s/.*"addr":"\([^"]*\)".*/\1/p' "$folder/log" | head -n 1)
  [[ -z "$address" ]] || break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
[[ -n "$address" ]] || { echo 'The server did not start:' >&2; cat "$folder/log" >&2; exit 1; }

status=0
for scenario in "${scenarios[@]}"; do
  echo "== $scenario" >&2
  bin/parley bench "$scenario" --url "http://$address" --data "$folder/data" --duration "$duration" "${flags[@]}" || status=1
done
((status == 0)) || { echo 'The server said:' >&2; tail -n 20 "$folder/log" >&2; }
exit $status
