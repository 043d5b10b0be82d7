#!/bin/sh
# Installs or upgrades Piccolo Daimao as a service of systemd, from the checkout that this script is part of.
# install/ubuntu.sh, the first step, installs the system packages. See --help.
set -eu
umask 022

usage() {
  cat <<'HELP'
Usage: sudo install/main.sh [OPTIONS]

Installs the service from this checkout and starts it. Running it again upgrades to what the checkout holds by
then, or finishes an upgrade that was interrupted: it restarts what runs older code. When nothing is new, it
changes nothing and restarts nothing. The system packages come first: install/ubuntu.sh.

  --web-processes N  web processes on this machine: 0 to 256
                     (first: one for each core but one, at least 1; later: as many as there are)
  --consumer yes|no  whether the consumer runs on this machine (first: yes; later: as it is)
  --no-start         start and restart nothing
  --offline          fetch nothing: take Node and the packages from this checkout, where a start has put them
  --root DIR         install below DIR, to be run from there, and leave the system alone: no user, no systemd
  --help             this text

What is where:
  /usr/local/piccolo-daimao                code, its own Node 22, packages; belongs to root
  /usr/local/bin/piccolo                   the command, with the configuration of the service as its defaults
  /etc/piccolo-daimao/piccolo.env          configuration; yours: written once and never changed again
  /var/local/piccolo-daimao/sqlite         the totals, numbers.db; belongs to the user piccolo
  /var/lib/piccolo-daimao                  what a stop could not hand on, until the next start
  /etc/systemd/system/piccolo*             piccolo.target, piccolo-consumer.service, piccolo-web@.service

A Node 22 that is found in PATH, or that PICCOLO_NODE names, is copied; else Node comes from the npm registry.

An upgrade restarts the consumer first, which always reads what an older web process has left in the queue,
and then one web process after the other, each when the one before listens: with two or more, the port never
closes.

To remove it:
  sudo systemctl disable --now piccolo.target
  sudo rm -rf /usr/local/piccolo-daimao /usr/local/bin/piccolo /etc/systemd/system/piccolo*
  sudo systemctl daemon-reload
and, for configuration, totals, user, and what Redis knows of the totals:
  sudo rm -rf /etc/piccolo-daimao /var/local/piccolo-daimao /var/lib/piccolo-daimao
  sudo userdel piccolo
  redis-cli --scan --pattern 'piccolo:*' | xargs redis-cli del
HELP
}

say() {
  printf 'main.sh: %s\n' "$*"
}

# fail CODE MESSAGE: the codes are those of the service, as lib/errors.ts has them.
fail() {
  code=$1
  shift
  printf 'main.sh: %s\n' "$*" >&2
  exit "$code"
}

main() {
  read_arguments "$@"
  checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
  app=$root/usr/local/piccolo-daimao
  command=$root/usr/local/bin/piccolo
  configuration=$root/etc/piccolo-daimao/piccolo.env
  data=$root/var/local/piccolo-daimao
  units=$root/etc/systemd/system
  is_first=no
  [ -e "$units/piccolo.target" ] || is_first=yes
  # Named once it is installed.
  build=''

  if [ -z "$root" ]; then
    [ "$(id -u)" = 0 ] || fail 64 "must run as root: sudo $0"
    add_user
  fi
  add_folders
  # Two at a time would put together one version between them. The lock is on the folder, and ends with this
  # script.
  exec 8<"${app%/*}"
  flock -n 8 || fail 69 "another installation into ${app%/*} is under way"
  install_configuration
  install_code
  put "$checkout/install/command.sh" "$command" 0755
  install_units
  choose_members
  if [ -n "$root" ]; then
    say "installed below $root"
  elif [ "$start" = no ]; then
    say 'installed; nothing has been started (--no-start)'
  elif ! [ -d /run/systemd/system ]; then
    say 'installed; nothing has been started: systemd does not run here'
  else
    start_service
  fi
}

read_arguments() {
  root='' web_processes='' consumer='' start=yes offline=no
  while [ $# -gt 0 ]; do
    case $1 in
      --root=* | --web-processes=* | --consumer=*)
        name=${1%%=*} value=${1#*=}
        shift
        set -- "$name" "$value" "$@"
        ;;
    esac
    case $1 in
      --root | --web-processes | --consumer) [ $# -gt 1 ] || fail 64 "$1 needs a value; see --help" ;;
    esac
    case $1 in
      --root) root=$2 && shift ;;
      --web-processes) web_processes=$2 && shift ;;
      --consumer) consumer=$2 && shift ;;
      --no-start) start=no ;;
      --offline) offline=yes ;;
      --help) usage && exit 0 ;;
      *) fail 64 "unknown argument $1; see --help" ;;
    esac
    shift
  done
  case $root in
    '') ;;
    # The name goes into units and scripts as it is.
    *[!A-Za-z0-9/._-]*) fail 64 "--root must be a path of letters, digits, and / . _ -, got $root" ;;
    /*[!/]*) root=${root%/} ;;
    *) fail 64 "--root must be an absolute path other than /, got $root" ;;
  esac
  case $web_processes in
    '' | [0-9] | [1-9][0-9] | 1[0-9][0-9] | 2[0-4][0-9] | 25[0-6]) ;;
    *) fail 64 "--web-processes must be 0 to 256, got $web_processes" ;;
  esac
  case $consumer in '' | yes | no) ;; *) fail 64 "--consumer must be yes or no, got $consumer" ;; esac
}

# --- The user and the folders -------------------------------------------------------------------------------

add_user() {
  getent group piccolo >/dev/null || groupadd --system piccolo
  if getent passwd piccolo >/dev/null; then return 0; fi
  useradd --system --gid piccolo --home-dir "$data" --no-create-home --shell /usr/sbin/nologin \
    --comment 'Piccolo Daimao' piccolo
  say 'added the user piccolo'
}

# The service may write below `data` only. Its group may read: the totals, and the configuration.
add_folders() {
  mkdir -p "${app%/*}" "${command%/*}" "${configuration%/*/*}" "${data%/*}" "$units"
  add_folder "${configuration%/*}" root
  add_folder "$data" piccolo
  add_folder "$data/sqlite" piccolo
}

add_folder() {
  if [ -d "$1" ]; then return 0; fi
  mkdir "$1"
  chmod 0750 "$1"
  [ -n "$root" ] || chown "$2:piccolo" "$1"
  say "added $1"
}

# --- The code, its Node and its packages --------------------------------------------------------------------

# A new version is put together and tried beside the one that is there, and takes its place when it is whole.
# What runs keeps running, on the old one. After a failure or a kill at any moment, the next run finds a whole
# one.
install_code() {
  if [ -d "$app.old" ] && ! [ -d "$app" ]; then mv "$app.old" "$app"; fi
  rm -rf "$app.old" "$app.new"
  mkdir "$app.new"
  # From here on, what is left of a failure is removed.
  trap 'rm -rf "$app.new"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  copy_code
  copy_node_and_packages
  try_code
  if [ -d "$app" ] && diff -rq --no-dereference "$app" "$app.new" >/dev/null; then
    say "$app is up to date"
    return 0
  fi
  if [ -d "$app" ]; then mv "$app" "$app.old"; fi
  mv "$app.new" "$app"
  rm -rf "$app.old"
  say "installed $app, on Node $("$app/bin/node" --version)"
}

# What it takes to run. Never node_modules or .node of the checkout: they may be those of another machine,
# which shares the folder with this one.
copy_code() {
  (
    cd "$checkout" &&
      find apps batch cli consumer install intake lib queue store vegeta package.json package-lock.json piccolo \
        \( -path vegeta/targets -o -name node_modules \) -prune -o -type f ! -name '*.test.ts' -exec cp --parents -t "$app.new" {} +
  ) || fail 78 "the checkout $checkout is not whole (see above)"
  # Whatever the modes in the checkout: the service, another user, has to read it.
  find "$app.new" -type d -exec chmod 755 {} +
  find "$app.new" -type f -exec chmod 644 {} +
  chmod 755 "$app.new/piccolo" "$app.new/install/main.sh" "$app.new/install/ubuntu.sh"
}

# toolchain.sh decides whether what the installed version has still fits, and fetches what does not.
copy_node_and_packages() {
  for part in .node node_modules; do
    # Hard links, which cost nothing: these files are never changed, only replaced.
    if [ -d "$app/$part" ]; then cp -al "$app/$part" "$app.new/$part"; fi
  done
  piccolo_root=$app.new
  # npm's cache is of no use later, and the one of the person behind sudo is not ours.
  npm_config_cache=$app.new/.npm
  export npm_config_cache
  # shellcheck source=install/toolchain.sh
  . "$checkout/install/toolchain.sh"
  if [ "$offline" = yes ]; then
    npm_config_offline=true
    export npm_config_offline
    if [ -d "$checkout/.node/fetched" ] && ! [ -d "$app.new/.node" ]; then
      mkdir "$app.new/.node"
      cp -R "$checkout/.node/fetched" "$app.new/.node/"
    fi
  fi
  toolchain_node || exit
  if [ "$offline" = yes ] && ! toolchain_is_installed prod; then copy_packages; fi
  toolchain_packages prod || exit
  rm -rf "$npm_config_cache" "$app.new/.node/lock"

  mkdir "$app.new/bin"
  case $piccolo_node in
    "$app.new"/*) ln -s "..${piccolo_node#"$app.new"}" "$app.new/bin/node" ;;
    *)
      # A copy, so that an upgrade of that Node does not change the service.
      if cmp -s "$piccolo_node" "$app/bin/node"; then
        cp -l "$app/bin/node" "$app.new/bin/node"
      else
        cp -L "$piccolo_node" "$app.new/bin/node"
        chmod 755 "$app.new/bin/node"
      fi
      ;;
  esac
}

# The packages that the service runs on, from node_modules of the checkout: in the versions of the lockfile,
# or not at all. A package for another platform may be missing.
copy_packages() {
  rm -rf "$app.new/node_modules"
  (cd "$app.new" && "$piccolo_node" --input-type=module - "$checkout" <<'JS') || exit
import { cpSync, existsSync, readFileSync } from 'node:fs'
const checkout = process.argv[2]
const readJson = file => JSON.parse(readFileSync(file, 'utf8'))
for (const [folder, { version, dev, optional }] of Object.entries(readJson('package-lock.json').packages)) {
  if (folder === '' || dev) continue
  const source = `${checkout}/${folder}`
  const found = existsSync(`${source}/package.json`) ? readJson(`${source}/package.json`).version : 'missing'
  if (found === version) cpSync(source, folder, { recursive: true, verbatimSymlinks: true })
  if (found === version || (optional && found === 'missing')) continue
  console.error(`main.sh: ${source} must have the version ${version}, and is ${found}: run npm ci there`)
  process.exit(69)
}
JS
  chmod -R u+rwX,go+rX,go-w "$app.new/node_modules"
  toolchain_stamp prod >"$app.new/node_modules/.piccolo-installed"
}

# Before it replaces one that works: all of its parts load, on its own Node and for the user of the service,
# and the configuration is one that it knows.
try_code() {
  loads="await import('better-sqlite3'); await import('uWebSockets.js')"
  if ! (cd "$app.new" && bin/node --input-type=module -e "$loads") || ! try_command --help; then
    fail 70 'this version does not run here (see above); nothing has been changed'
  fi
  try_command config check ||
    fail 78 "$configuration does not fit this version (see above); nothing has been changed"
}

# The command `piccolo` as it will be installed, with the code as it is now.
try_command() {
  sed -e "s|@ROOT@|$root|g" -e "s|^app=.*|app=$app.new|" "$checkout/install/command.sh" |
    sh -s -- "$@" >/dev/null
}

# --- Configuration, command, units --------------------------------------------------------------------------

install_configuration() {
  if [ -e "$configuration" ]; then
    say "kept $configuration"
  else
    render "$checkout/install/piccolo.env" "$configuration" 0640
    [ -n "$root" ] || chown root:piccolo "$configuration"
    say "added $configuration"
  fi
}

# Everything that a restart would change goes into the name of a build: a unit tells it to its process, which so
# says for all its life what it was started from. The units come from the code, whose hash the version has.
install_units() {
  build=$("$command" --version)/$("$app/bin/node" --version)
  mkdir -p "$units/piccolo-.service.d" "$units/piccolo.target.wants"
  for unit in piccolo-.service.d/common.conf piccolo-consumer.service piccolo-web@.service piccolo.target; do
    put "$checkout/install/systemd/$unit" "$units/$unit" 0644
  done
}

fill_in() {
  sed -e "s|@ROOT@|$root|g" -e "s|@BUILD@|$build|g" "$1"
}

# render TEMPLATE TARGET MODE: whole or not at all.
render() {
  fill_in "$1" >"$2.new"
  chmod "$3" "$2.new"
  mv "$2.new" "$2"
}

put() {
  if fill_in "$1" | cmp -s - "$2"; then return 0; fi
  render "$@"
  say "wrote $2"
}

# The links that `systemctl enable` would make: which units start with piccolo.target, and that it starts at
# boot. After the first time they are the operator's, who may have enabled or disabled some.
choose_members() {
  surplus=''
  if [ "$is_first" = yes ]; then
    cores=$(nproc)
    consumer=${consumer:-yes}
    web_processes=${web_processes:-$((cores > 1 ? cores - 1 : 1))}
    mkdir -p "$units/multi-user.target.wants"
    ln -sf ../piccolo.target "$units/multi-user.target.wants/piccolo.target"
  fi
  case $consumer in
    yes) add_member piccolo-consumer.service piccolo-consumer.service ;;
    no) drop_member piccolo-consumer.service ;;
  esac
  if [ -z "$web_processes" ]; then return 0; fi
  number=0
  while [ "$number" -lt "$web_processes" ]; do
    number=$((number + 1))
    add_member "piccolo-web@$number.service" piccolo-web@.service
  done
  for unit in $(members 'piccolo-web@[0-9]*.service'); do
    number=${unit#piccolo-web@}
    [ "${number%.service}" -le "$web_processes" ] || drop_member "$unit"
  done
}

add_member() {
  if [ -L "$units/piccolo.target.wants/$1" ]; then return 0; fi
  ln -s "../$2" "$units/piccolo.target.wants/$1"
  say "enabled $1"
}

drop_member() {
  surplus="$surplus $1"
  if ! [ -L "$units/piccolo.target.wants/$1" ]; then return 0; fi
  rm "$units/piccolo.target.wants/$1"
  say "disabled $1"
}

# The units whose name matches PATTERN among those that start with piccolo.target.
members() {
  find "$units/piccolo.target.wants" -name "$1" -exec basename {} \; | sort -V
}

# --- Starting -----------------------------------------------------------------------------------------------

start_service() {
  systemctl daemon-reload
  for unit in $surplus; do
    if systemctl --quiet is-active "$unit"; then systemctl stop "$unit"; fi
  done
  for unit in piccolo-consumer.service $(members 'piccolo-web@*.service'); do
    if is_outdated "$unit"; then restart "$unit" "$(port_of "$unit")"; fi
  done
  # Whatever does not run yet, or no longer.
  systemctl start piccolo.target
  for unit in $(members 'piccolo-*.service'); do
    await_ready "$unit" "$(port_of "$unit")"
  done
  say 'ready'
  if [ -n "$(members 'piccolo-web@*.service')" ]; then
    say "try: curl -d 'key=foo&value=1' localhost:$(setting PICCOLO_PORT 3333)/increment"
  fi
}

# Web processes share their port: one that is ready may answer for another, but not for one that failed.
await_ready() {
  if [ "$2" = 0 ]; then return 0; fi
  attempts=60
  until "$command" health --port "$2" >/dev/null 2>&1 && systemctl --quiet is-active "$1"; do
    attempts=$((attempts - 1))
    if [ "$attempts" = 0 ] || systemctl --quiet is-failed "$1"; then
      "$command" health --port "$2" >&2 || true
      journalctl --unit "$1" --lines 3 --output cat --no-pager >&2 || true
      fail 69 "$1 is not ready (see above); more: sudo journalctl -u $1"
    fi
    sleep 0.5
  done
}

port_of() {
  case $1 in
    piccolo-web@*) setting PICCOLO_PORT 3333 ;;
    *) setting PICCOLO_CONSUMER_PORT 3335 ;;
  esac
}

# Whether UNIT runs, and was started from something else than what is installed now, be it before this upgrade or
# before one that was interrupted.
is_outdated() {
  systemctl --quiet is-active "$1" || return
  pid=$(systemctl show --property=MainPID --value "$1")
  ! tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qxF "PICCOLO_BUILD=$build"
}

# Restarts UNIT, and waits until it listens on PORT again. If it does not, the others keep running, as they did
# before this upgrade.
restart() {
  systemctl restart "$1"
  if [ "$2" = 0 ]; then return 0; fi
  attempts=60
  until listens "$(systemctl show --property=MainPID --value "$1")" "$2"; do
    attempts=$((attempts - 1))
    if [ "$attempts" = 0 ] || systemctl --quiet is-failed "$1"; then
      fail 70 "$1 does not listen on port $2 after its restart; see: sudo journalctl -u $1 -n 50"
    fi
    sleep 0.5
  done
  say "restarted $1"
}

# Whether the process PID listens on the TCP port PORT: the port is shared, so to connect would not tell.
listens() {
  sockets=$(awk -v port="$(printf ':%04X' "$2")" \
    '$4 == "0A" && substr($2, length($2) - 4) == port { print "socket:[" $10 "]" }' /proc/net/tcp*)
  [ -n "$sockets" ] && find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | grep -qxF "$sockets"
}

# The value of NAME in the configuration, or DEFAULT.
setting() {
  value=$(sed -n "s/^$1=//p" "$configuration" | tail -n 1 | tr -d "\"'")
  printf '%s\n' "${value:-$2}"
}

main "$@"
