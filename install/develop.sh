#!/bin/sh
# Runs a program of the project's developers: `sh install/develop.sh TOOLS PROGRAM [ARGUMENT...]`.
# TOOLS is one argument: commands of the system, with spaces between them. They, the right Node, and the npm
# packages for development are set up first where they are missing; the exit code is that of the program, or 69
# or 78 when the set-up fails (see install/toolchain.sh).

piccolo_root=$(CDPATH='' cd -P -- "$(dirname -- "$0")/.." && pwd) || exit 78
cd "$piccolo_root" || exit 78

# shellcheck source=install/toolchain.sh
. install/toolchain.sh
develop_tools=$1
shift
toolchain_node || exit
# A list of words, so not quoted.
# shellcheck disable=SC2086
toolchain_tools $develop_tools || exit
toolchain_packages all || exit

# What the program starts by the names ./piccolo, node or npm gets this Node.
PICCOLO_NODE=$piccolo_node
PATH=${piccolo_node%/*}:$PATH
export PICCOLO_NODE PATH
# exec: a signal to this process reaches the program.
exec "$piccolo_node" --disable-warning=ExperimentalWarning "$@"
