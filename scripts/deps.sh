#!/usr/bin/env bash
# Finds the programs that the tests need and, as root on Debian, installs what is missing.
# What cannot be had is named loudly; with CI set a miss is a failure, elsewhere those tests say that they are skipped.
set -euo pipefail
shopt -s nullglob

readonly postgres_least=15 node_least=20

# first_number prints the first number of a version text: 15 of "postgres (PostgreSQL) 15.6", 20 of "v20.2.0".
first_number() {
  [[ "$1" =~ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

has_go() { command -v go >/dev/null; }

# The race detector links C.
has_cc() { command -v gcc >/dev/null || command -v clang >/dev/null; }

has_postgres() {
  local server version
  for server in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres; do
    [[ -x "$server" && -x "${server%/*}/initdb" ]] || continue
    version=$(first_number "$("$server" --version)") || continue
    ((version >= postgres_least)) && return 0
  done
  return 1
}

has_redis() { command -v redis-server >/dev/null; }

has_rabbitmq() { [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && command -v epmd >/dev/null; }

# Both are in a folder for administrators, which may not be searched.
has_haproxy() { command -v haproxy /usr/sbin/haproxy >/dev/null; }
has_nginx() { command -v nginx /usr/sbin/nginx >/dev/null; }

has_ip() { command -v ip /usr/sbin/ip >/dev/null; }

has_kafka() { "${BASH_SOURCE[0]%/*}/kafka.sh" 2>/dev/null; }

has_chromium() { command -v chromium >/dev/null; }

has_node() {
  local version
  command -v node >/dev/null && command -v npm >/dev/null || return 1
  version=$(first_number "$(node --version)") && ((version >= node_least))
}

has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# The name of the check | the packages that bring it on Debian | what it is, for whom it is missing.
readonly programs=(
  "go||Go, of the version that go.mod names"
  "cc|gcc libc6-dev|a C compiler: the race detector needs one"
  "postgres|postgresql|PostgreSQL $postgres_least or later, the server's own programs (initdb, postgres)"
  "redis|redis-server|Redis 7: a server of their own is started by the tests of its adapters"
  "rabbitmq|rabbitmq-server|RabbitMQ: a server of their own is started by the tests of its adapter"

  "haproxy|haproxy|HAProxy 2.6 or later: the tests run it with the configuration in deploy"
  "nginx|nginx-light|nginx: the tests run it with the configuration in deploy"
  "ip|iproute2|ip, of iproute2: tests make networks that can be cut with it"
  "kafka|openjdk-17-jre-headless maven|Java 17 and the jars of Apache Kafka 4, which Maven brings: scripts/kafka.sh says what is wrong"
  "chromium|chromium|Chromium: the browser tests drive it"
  "node|nodejs npm|Node $node_least or later, with npm"
  "venv|python3-venv|Python 3 with venv and pip: a consumer of the feed is written in it"
)

# missing prints the entries of programs whose check fails.
missing() {
  local entry
  for entry in "${programs[@]}"; do
    "has_${entry%%|*}" || echo "$entry"
  done
}

# keep_clusters_away stops Debian's package from making and starting a cluster: the tests start a PostgreSQL of their own.
keep_clusters_away() {
  local settings=/etc/postgresql-common/createcluster.conf
  [[ -e "$settings" ]] && return
  mkdir -p "${settings%/*}"
  echo 'create_main_cluster = false' >"$settings"
}

# keep_services_away has Debian install services without starting them, until the script ends: the tests start their own. Where somebody else has a say in
# that already, it stays.
keep_services_away() {
  local policy=/usr/sbin/policy-rc.d
  [[ -e "$policy" ]] && return
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap "rm -f $policy" EXIT
}

# install asks Debian for the packages of the entries given, one by one, so that one that is not to be had costs no other.
install() {
  local entry packages
  export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
  apt-get update -q
  for entry in "$@"; do
    IFS='|' read -r _ packages _ <<<"$entry"
    [[ "$packages" == postgresql ]] && keep_clusters_away
    [[ "$packages" =~ ^(redis-server|rabbitmq-server|haproxy|nginx-light)$ ]] && keep_services_away
    # shellcheck disable=SC2086 # a list of packages
    [[ -z "$packages" ]] || apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold $packages ||
      echo "deps: apt-get could not install: $packages" >&2
  done
}

mapfile -t lacking < <(missing)
if ((${#lacking[@]} > 0)) && [[ $EUID == 0 && -e /etc/debian_version ]] && command -v apt-get >/dev/null; then
  install "${lacking[@]}" >&2 </dev/null || true
  hash -r
  mapfile -t lacking < <(missing)
fi
((${#lacking[@]} > 0)) || exit 0

{
  echo '################################################################'
  for entry in "${lacking[@]}"; do
    IFS='|' read -r _ packages what <<<"$entry"
    echo "# MISSING: $what${packages:+ (Debian: $packages)}"
  done
  echo '# The tests that need these do not run here.'
  echo '################################################################'
} >&2
[[ -z "${CI:-}" ]]
