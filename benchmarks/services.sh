#!/bin/sh
# Install wrk (Debian), which the benchmarks make load with. Without it they make it in Python.
set -eu
command -v wrk >/dev/null && exit 0
if ! command -v apt-get >/dev/null; then
    echo "wrk is not here and cannot be installed: load is made in Python instead."
    exit 0
fi
echo "Installing wrk ..."
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends wrk >/dev/null \
    || echo "wrk could not be installed: load is made in Python instead."
