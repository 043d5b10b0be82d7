#!/bin/sh
# Run in the virtual machine as root by `vagrant up` and `vagrant provision`: installs the service, or
# upgrades it to what the shared folder holds, with the scripts that install it on any server.
set -eu

checkout=/vagrant
sh "$checkout/install/ubuntu.sh"
sh "$checkout/install/main.sh"

# So that `vagrant ssh -c 'piccolo total foo'` needs no sudo.
if id vagrant >/dev/null 2>&1; then usermod -aG piccolo vagrant; fi
