#!/usr/bin/env bash
# Measures what a message costs every part of a cluster: on one node alone, and over three nodes with each broker. docs/scaling.md says what follows from it.
#
#   scripts/scaling.sh [--duration 15s] [--users 300] [BROKER...]      nats redis rabbitmq kafka
set -euo pipefail
cd "$(dirname "$0")/.."

duration=15s users=300
brokers=()
while (($# > 0)); do
  case $1 in
    --duration) duration=${2:?--duration needs a time}; shift ;;
    --users) users=${2:?--users needs a number}; shift ;;
    -*) echo "usage: ${0##*/} [--duration 15s] [--users 300] [BROKER...]" >&2; exit 2 ;;
    *) brokers+=("$1") ;;
  esac
  shift
done
((${#brokers[@]} > 0)) || brokers=(nats redis rabbitmq kafka)
[[ -x bin/parley ]] || { echo 'There is no bin/parley: make build makes it.' >&2; exit 1; }
go build -o bin/parley-cluster ./scripts/cluster

# A connection costs a file descriptor at each end; and what is measured shall not be the limits.
ulimit -n "$(ulimit -Hn)"
export PARLEY_LIMITS_MESSAGES_PER_SECOND=0 PARLEY_LIMITS_BURST=0 PARLEY_LIMITS_ROOM_MESSAGES_PER_SECOND=0 PARLEY_LIMITS_ROOM_BURST=0

folder= cluster=
stop() {
  if [[ -n "$cluster" ]]; then
    kill "$cluster" 2>/dev/null || true
    wait "$cluster" 2>/dev/null || true
    cluster=
  fi
  [[ -z "$folder" ]] || rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# start runs a cluster, and waits until it has said what runs where.
start() {
  folder=$(mktemp -d)
  chmod 711 "$folder" # PostgreSQL's own user has to get through
  : >"$folder/told"
  bin/parley-cluster -data "$folder/cluster" -listen 127.0.0.1:0 -broker "$1" >"$folder/told" 2>&1 &
  cluster=$!
  for ((tries = 0; tries < 1200; tries++)); do
    ! grep -q 'Ctrl-C ends everything' "$folder/told" || return 0
    kill -0 "$cluster" 2>/dev/null || break
    sleep 0.1
  done
  cat "$folder/told" >&2
  return 1
}

# store is the URL of the database.
store() { sed -n 's/^store: "\(.*\)"$/\1/p' "$folder/cluster/parley.yaml"; }

# counters prints what the engines have counted until now: transactions, bytes of the write-ahead log, commands of Redis, hints that nodes have published.
counters() {
  local store
  store=$(store)
  psql "$store" -Atc "SELECT pg_stat_force_next_flush()" >/dev/null 2>&1 || true
  psql "$store" -Atc "SELECT sum(xact_commit) || ' ' || (SELECT wal_bytes FROM pg_stat_wal) FROM pg_stat_database" | tr '\n' ' '
  redis-cli -u "$(sed -n 's/^state: "\(.*\)"$/\1/p' "$folder/cluster/parley.yaml")" info stats | tr -d '\r' | sed -n 's/^total_commands_processed://p' | tr '\n' ' '
  sed -n 's/.*operators: //p' "$folder/told" | while read -r operators; do curl -sf "$operators/metrics"; done |
    awk '/^parley_broker_published_total / { n += $2 } END { printf "%d\n", n }'
}

# drive URLS SCENARIO FLAG... runs the load generator, which tells what each process has used.
drive() {
  local urls=$1 flags=()
  shift
  while read -r what pid _; do flags+=(--process "$what=$pid"); done < <(awk '$2 ~ /^[0-9]+$/ { print $1, $2 }' "$folder/told")
  bin/parley bench "$@" --url "$urls" --data "$folder/cluster/parley" --duration "$duration" "${flags[@]}" 2>"$folder/progress" || { cat "$folder/progress" >&2; return 1; }
}

# measure URLS has everybody talk, and prints the report and what each message has cost the engines.
measure() {
  local before after
  before=$(counters)
  drive "$1" rooms --users "$users" --room-size 5 --inflight 64 | tee "$folder/report"
  after=$(counters)
  awk -v before="$before" -v after="$after" -v sent="$(sed -n 's/^  acknowledged *\([0-9,]*\) of.*/\1/p' "$folder/report" | tr -d ,)" '
    BEGIN {
      split(before, b, " "); split(after, a, " ")
      printf "  each message   %.2f transactions and %.0f bytes of log in PostgreSQL, %.2f commands of Redis, %.2f hints (setting up and reading the logs included)\n",
        (a[1] - b[1]) / sent, (a[2] - b[2]) / sent, (a[3] - b[3]) / sent, (a[4] - b[4]) / sent
    }'
  echo
}

# sizes prints what PostgreSQL keeps, indexes included.
sizes() {
  psql "$(store)" -qAt -F ' ' -c "ANALYZE events, rooms, room_heads, members, users, sessions" -c "
    SELECT c.relname, c.reltuples::bigint, (pg_total_relation_size(c.oid) / c.reltuples)::bigint FROM pg_class c
    WHERE c.relname IN ('events', 'rooms', 'room_heads', 'members', 'users', 'sessions') AND c.reltuples > 0 ORDER BY c.relname" |
    awk '{ printf "  %-14s %d rows, %d bytes each\n", $1, $2, $3 }'
  echo
}

echo "commit $(git describe --always --dirty), $(date -u +%F), $(nproc) processors for everything, the load included"
for broker in "${brokers[@]}"; do
  start "$broker"
  urls=$(sed -n 's/^  node-.* \(http:[^ ]*\) *operators.*/\1/p' "$folder/told" | paste -sd, -)
  printf '\n== %s, everybody at one of three nodes\n' "$broker"
  measure "${urls%%,*}"
  printf '== %s, spread over three nodes\n' "$broker"
  measure "$urls"
  if [[ $broker == "${brokers[0]}" ]]; then
    printf '== sessions that only stay, over three nodes\n'
    drive "$urls" idle --connections 3000 --rooms 20
    sizes
  fi
  stop
  folder=
done
