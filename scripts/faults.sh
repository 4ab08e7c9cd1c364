#!/usr/bin/env bash
# Breaks the parts of a cluster under load, one after another, for minutes, and judges what everybody saw: the long form of the tests in e2e/fleet, whose
# results docs/reliability.md keeps. With names of brokers (nats redis rabbitmq kafka) only theirs; without, all, rolling restarts and the reconnect storm.
set -euo pipefail
cd "$(dirname "$0")/.."

run='.'
if (($# > 0)); then run="^TestFaults\$/^($(IFS='|'; echo "$*"))\$"; fi
echo "commit $(git describe --always --dirty), $(date -u +%F)"
PARLEY_FAULTS=long exec go test ./e2e/fleet -count=1 -v -timeout 60m -run "$run"
