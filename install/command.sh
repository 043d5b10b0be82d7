#!/bin/sh
# The command `piccolo` on a machine where the service is installed: its code, its Node, and its configuration
# as the defaults, so that `piccolo total foo` asks the database of the service. A variable that is set in the
# environment beats the configuration, a flag beats both.
set -eu

root=@ROOT@
app=$root/usr/local/piccolo-daimao
configuration=$root/etc/piccolo-daimao/piccolo.env

if [ -r "$configuration" ]; then
  given=" $(env | sed -n 's/^\(PICCOLO_[A-Z0-9_]*\)=.*/\1/p' | tr '\n' ' ')"
  while IFS= read -r line || [ -n "$line" ]; do
    name=${line%%=*}
    value=${line#*=}
    case $line in PICCOLO_*=*) ;; *) continue ;; esac
    case $name in *[!A-Z0-9_]*) continue ;; esac
    # As systemd reads it: quotes around a value are not part of it, and of two lines the later counts.
    case $value in \"*\" | \'*\') value=${value#?} value=${value%?} ;; esac
    case $given in *" $name "*) ;; *) export "$name=$value" ;; esac
  done <"$configuration"
else
  # Not in silence: the answer would be that of another database.
  case ${1:---help} in
    --help | --version | help) ;;
    *)
      echo "piccolo: cannot read $configuration: use sudo, or join the group piccolo:" \
        "sudo usermod -aG piccolo $(id -un)" >&2
      exit 78
      ;;
  esac
fi

# The one of the units, which a configuration may change.
export PICCOLO_STATE_DIR="${PICCOLO_STATE_DIR:-$root/var/lib/piccolo-daimao}"

set -- "$app/bin/node" --disable-warning=ExperimentalWarning "$app/cli/main.ts" "$@"
# Never as root: a file that root left beside the database would stop the service.
if [ -z "$root" ] && [ "$(id -u)" = 0 ]; then
  exec setpriv --reuid=piccolo --regid=piccolo --init-groups "$@"
fi
exec "$@"
