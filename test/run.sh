#!/bin/sh
# What `npm test` runs: sets up what the tests need, then runs vitest with the arguments given.
# The last line is `N passed, N failed, N skipped`; the exit code is that of vitest, or 69 or 78 when the
# set-up fails (see install/toolchain.sh).

piccolo_root=$(CDPATH='' cd -P -- "$(dirname -- "$0")/.." && pwd) || exit 78
cd "$piccolo_root" || exit 78

# shellcheck source=install/toolchain.sh
. install/toolchain.sh
toolchain_node || exit
toolchain_tools redis-server sqlite3 shellcheck ruby strace || exit
toolchain_packages all || exit

# Tests that start ./piccolo, node or npm get this Node.
PICCOLO_NODE=$piccolo_node
PATH=${piccolo_node%/*}:$PATH
export PICCOLO_NODE PATH
exec "$piccolo_node" node_modules/vitest/vitest.mjs run \
  --reporter=default --reporter=./test/summary-reporter.ts "$@"
