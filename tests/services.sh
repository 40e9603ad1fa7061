#!/bin/sh
# Install (Debian) and start what the full test suite needs: PostgreSQL and Redis on loopback ports
# of their own in .services/; nginx, Chromium and git as programs. A server that already runs on this
# machine is left alone.
#
# `sh tests/services.sh` starts PostgreSQL for tests, which writes nothing to the disk for good: a
# test that kills a database starts one of its own. `sh tests/services.sh durable` starts one beside
# it as an operator runs it, for benchmarks. `sh tests/services.sh stop` stops all of them.
set -eu
cd "$(dirname "$0")/.."
here="$PWD/.services"
redis_port=${TEST_REDIS_PORT:-63799}
kind=${1:-quick}
case $kind in
    quick) postgres_port=${TEST_POSTGRES_PORT:-54329}
           options="-c fsync=off -c full_page_writes=off -c synchronous_commit=off" ;;
    durable) postgres_port=${BENCH_POSTGRES_PORT:-54328} options="" ;;
esac

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

# initdb refuses to run as root; the packages bring the user postgres.
as_postgres() {
    # From / because the user postgres may not enter this folder.
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

if [ "$kind" = stop ]; then
    for data_dir in "$here"/data_dir-* "$here"/data_dir; do
        [ -f "$data_dir" ] && as_postgres "$(postgres_bin)/pg_ctl" -D "$(cat "$data_dir")" -m fast stop || true
    done
    [ -f "$here/redis.pid" ] && kill "$(cat "$here/redis.pid")" || true
    exit 0
fi

missing=""
[ -x "$(postgres_bin)/initdb" ] || missing="$missing postgresql"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v nginx >/dev/null || missing="$missing nginx-light"
command -v chromium >/dev/null || missing="$missing chromium"
command -v chromedriver >/dev/null || missing="$missing chromium-driver"
command -v curl >/dev/null || missing="$missing curl"
command -v openssl >/dev/null || missing="$missing openssl"
command -v git >/dev/null || missing="$missing git"
if [ -n "$missing" ]; then
    echo "Installing$missing ..."
    command -v apt-get >/dev/null || { echo "Please install:$missing"; exit 1; }
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    # Packages start their servers when installed; this keeps them from it, where it is not set already.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
        $sudo chmod +x $policy
        trap '$sudo rm -f $policy' EXIT
    fi
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

mkdir -p "$here"
if [ -f "$here/data_dir" ]; then
    # From before there were two kinds: one server for all, and a Redis with 16 databases.
    sh tests/services.sh stop
    rm -f "$here/data_dir" "$here/environment"
fi
data_dir="$here/data_dir-$kind"
if ! { [ -f "$data_dir" ] && as_postgres "$(postgres_bin)/pg_ctl" -D "$(cat "$data_dir")" status >/dev/null 2>&1; }; then
    # A data folder of its own in the temporary directory: the checkout may be closed to postgres.
    data=$(as_postgres mktemp -d /tmp/cloudnotes-postgres-XXXXXX)
    as_postgres "$(postgres_bin)/initdb" --no-sync -D "$data" -U cloudnotes -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
    as_postgres "$(postgres_bin)/pg_ctl" -D "$data" -w -s -l "$data/log" \
        -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data -c max_connections=1000 $options" start
    echo "$data" > "$data_dir"
    as_postgres "$(postgres_bin)/createdb" -h 127.0.0.1 -p "$postgres_port" -U cloudnotes cloudnotes
fi
# Each process of tests has a database of its own in Redis.
if ! redis-cli -p "$redis_port" ping >/dev/null 2>&1; then
    redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --appendonly no --databases 64 \
        --daemonize yes --dir "$here" --pidfile "$here/redis.pid" >/dev/null
fi
cat > "$here/$kind" <<EOF
export DATABASE_URL=postgres://cloudnotes@127.0.0.1:$postgres_port/cloudnotes
export REDIS_URL=redis://127.0.0.1:$redis_port/0
EOF
echo "PostgreSQL on port $postgres_port, Redis on port $redis_port."
