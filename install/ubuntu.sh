#!/bin/sh
# The system packages that Piccolo Daimao needs, on Debian 12 and 13 and on Ubuntu 22.04 and 24.04.
# install/main.sh, the second step, installs the service itself.
set -eu

usage() {
  cat <<'HELP'
Usage: sudo install/ubuntu.sh [--without-redis]

Installs what is missing of: ca-certificates, curl, sqlite3, redis-server, and a Node with its npm.
What is there already is left alone; when nothing is missing, nothing happens. Then run install/main.sh.

  --without-redis  no Redis on this machine: the service is to use one elsewhere (PICCOLO_REDIS)
  --help           this text

The distribution's Node only fetches the Node 22 that runs the service, from the npm registry, checked against
the lockfile in install/node. Any version will do, the Node 12 of Ubuntu 22.04 too, or a Node of yours.

A Redis that this script installs also writes its data to disk every second (appendonly yes). One that was
there before is never touched; for it, this is recommended:
  redis-cli CONFIG SET appendonly yes && redis-cli CONFIG REWRITE
HELP
}

say() {
  printf 'ubuntu.sh: %s\n' "$*"
}

# fail CODE MESSAGE: the codes are those of the service, 64 for bad usage, 69 for a server that is
# unavailable.
fail() {
  code=$1
  shift
  printf 'ubuntu.sh: %s\n' "$*" >&2
  exit "$code"
}

redis=yes
for argument; do
  case $argument in
    --without-redis) redis=no ;;
    --help) usage && exit 0 ;;
    *) fail 64 "unknown argument $argument; see --help" ;;
  esac
done
command -v apt-get >/dev/null || fail 78 'needs Debian or Ubuntu: there is no apt-get here'

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=''
for package in ca-certificates curl sqlite3; do
  is_installed "$package" || missing="$missing $package"
done
# By command and not by package: a Redis, a Node or an npm from elsewhere does as well, and may exclude the
# package.
redis_is_new=no
if [ "$redis" = yes ] && ! command -v redis-server >/dev/null; then
  missing="$missing redis-server"
  redis_is_new=yes
fi
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  missing="$missing nodejs npm"
fi

if [ -z "$missing" ]; then
  say 'nothing to do: every package is there'
  exit 0
fi
[ "$(id -u)" = 0 ] || fail 64 "must run as root to install$missing: sudo $0"

# Nobody can answer a question here. On a machine just started, an upgrade of the system may hold the lock of
# dpkg.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt() {
  apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" </dev/null
}

say "installing$missing"
apt update || fail 69 'the package lists could not be fetched (see above); is there a network?'
# Unquoted on purpose: a list of words.
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing || fail 69 "could not install$missing (see above)"

# Redis and the web processes of one machine lose power together, so what waits in Redis has to be on disk.
# Not by the file alone where Redis runs: with appendonly set, one before 7.0 starts empty beside an older
# dump.
if [ "$redis_is_new" = yes ]; then
  if [ "$(redis-cli ping 2>/dev/null)" = PONG ]; then
    redis-cli config set appendonly yes >/dev/null
    redis-cli config rewrite >/dev/null
    # Until its first such file is written, Redis refuses to stop, and its unit would wait for that for ever.
    attempts=120
    until redis-cli info persistence | grep -q '^aof_rewrite_in_progress:0'; do
      attempts=$((attempts - 1))
      [ "$attempts" -gt 0 ] || fail 69 'Redis does not finish writing its first append-only file; see its log'
      sleep 0.5
    done
  else
    sed -i 's/^appendonly no$/appendonly yes/' /etc/redis/redis.conf
  fi
  say 'Redis writes what waits in it to disk every second (appendonly yes)'
fi
say 'done; next: install/main.sh'
