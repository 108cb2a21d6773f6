#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, tests, documentation.
# Sets up what the tests need in a throw-away place (a PostgreSQL cluster, Chromium) and says what it installed.
set -euo pipefail
cd "$(dirname "$0")"

installed=()
say() { printf '\n== %s\n' "$*"; }

# install PACKAGE...: by apt-get where we may, else the line for somebody who may.
install() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    installed+=("$@")
  else
    printf 'missing: %s\nrun: sudo apt-get install -y %s\n' "$*" "$*" >&2
    exit 1
  fi
}

postgres_bin() {
  local initdb
  initdb=$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
  [ -n "$initdb" ] || initdb=$(command -v initdb || true)
  [ -n "$initdb" ] && dirname "$(readlink -f "$initdb")"
}

# PostgreSQL refuses to run as root.
unprivileged() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid="$pg_user" --regid="$(id -g "$pg_user")" --clear-groups env HOME="$pg_dir" "$@"; else "$@"; fi
}

start_postgres() {
  pg_bin=$(postgres_bin) || true
  if [ -z "$pg_bin" ]; then install postgresql; pg_bin=$(postgres_bin); fi
  pg_user=$(id -un postgres 2>/dev/null || echo nobody)
  pg_dir=$(mktemp -d)
  if [ "$(id -u)" = 0 ]; then chown "$pg_user" "$pg_dir"; fi
  stop_postgres() { unprivileged "$pg_bin/pg_ctl" -D "$pg_dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$pg_dir"; }
  trap stop_postgres EXIT
  unprivileged "$pg_bin/initdb" -D "$pg_dir/data" -A trust -U postgres --no-sync >/dev/null
  local port=$((20000 + RANDOM % 20000)) try
  for try in 1 2 3 4 5; do
    if unprivileged "$pg_bin/pg_ctl" -D "$pg_dir/data" -l "$pg_dir/log" -w start \
        -o "-p $port -k $pg_dir -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300" >/dev/null; then break; fi
    [ "$try" = 5 ] && { cat "$pg_dir/log" >&2; exit 1; }
    port=$((port + 7))
  done
  export TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres"
}

find_chromium() {
  { command -v chromium && command -v chromedriver; } >/dev/null || install chromium chromium-driver
}

command -v cc >/dev/null || install gcc libc6-dev

say "format"
cargo fmt --all --check

say "PostgreSQL and Chromium"
start_postgres
find_chromium

say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo clippy --no-default-features --locked -- -D warnings

say "tests"
results=$(mktemp)
cargo test --workspace --locked 2>&1 | tee "$results"

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

if cargo deny --version >/dev/null 2>&1; then
  say "dependencies"
  cargo deny --offline check bans licenses sources
fi

if [ ${#installed[@]} -gt 0 ]; then say "installed: ${installed[*]}"; fi
say "all checks passed"
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$results"
rm -f "$results"
