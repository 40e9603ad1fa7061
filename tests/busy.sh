#!/bin/sh
# Run a command while a busy loop takes each core, as on a machine that is used by others too:
# sh tests/busy.sh make test
set -u
loops=""
for _ in $(seq "$(getconf _NPROCESSORS_ONLN)"); do
    sh -c 'while :; do :; done' &
    loops="$loops $!"
done
trap 'kill $loops' EXIT
trap 'exit 130' INT TERM HUP  # a shell that a signal ends runs no EXIT trap
"$@"
