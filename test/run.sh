#!/bin/sh
# What `npm test` runs: sets up what the tests need, then runs vitest with the arguments given.
# TEST_SERVERS names servers to install that some files of tests need, and that are skipped without.
# The last line is `N passed, N failed, N skipped`; the exit code is that of vitest, or that of the set-up.

exec sh "$(dirname -- "$0")/../install/develop.sh" \
  "redis-server sqlite3 curl shellcheck ruby strace ${TEST_SERVERS-}" \
  node_modules/vitest/vitest.mjs run --reporter=default --reporter=./test/summary-reporter.ts "$@"
