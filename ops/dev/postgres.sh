# shellcheck shell=bash
# PostgreSQL with its durability on. The role `tidegate` owns the database `tidegate` and may make
# others; everybody on loopback is trusted.

POSTGRES=127.0.0.1:$POSTGRES_PORT
POSTGRES_BIN=/usr/lib/postgresql/$POSTGRES_VERSION/bin

packages_postgres() {
    [[ -x $POSTGRES_BIN/postgres ]] || echo "$POSTGRES_PACKAGE"
}

address_postgres() {
    echo "$POSTGRES"
}

start_postgres() {
    local folder=$DIR/postgres
    if ((EUID == 0)); then
        chown postgres: "$folder"
    fi
    if [[ ! -d $folder/data ]]; then
        # Renamed when it is whole, so that an interrupted one is made again.
        rm -rf "$folder/making"
        (cd "$folder" && as_postgres "$POSTGRES_BIN/initdb" -D "$folder/making" --auth=trust \
            --username=postgres --encoding=UTF8 --locale=C >>"$folder/log" 2>&1) || {
            blame postgres "could not make its data folder"
            return 1
        }
        mv "$folder/making" "$folder/data"
    fi
    await_reaping "$folder/data/postmaster.pid"
    # Shared memory in files under the data folder: nothing is left elsewhere after a kill -9.
    launch postgres "$POSTGRES_PORT" "${AS_POSTGRES[@]}" "$POSTGRES_BIN/postgres" \
        -D "$folder/data" -p "$POSTGRES_PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$folder" -c max_connections=300 -c shared_buffers=256MB \
        -c fsync=on -c synchronous_commit=on -c full_page_writes=on \
        -c dynamic_shared_memory_type=mmap
}

# PostgreSQL takes a predecessor that was killed and that init has not reaped yet for a living one,
# and refuses to start beside it.
await_reaping() {
    local pid tenths=100
    [[ -f $1 ]] || return 0
    pid=$(head -n 1 "$1")
    while ((tenths-- > 0)) && [[ -d /proc/$pid ]] && is_dead "$pid"; do
        sleep 0.1
    done
}

ready_postgres() {
    "$POSTGRES_BIN/pg_isready" -q -t 3 -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -d postgres
}

prepare_postgres() {
    PGOPTIONS='-c client_min_messages=warning' "$POSTGRES_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$POSTGRES_PORT" \
        -U postgres -d postgres <<'SQL'
SELECT 'CREATE ROLE tidegate LOGIN CREATEDB'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidegate') \gexec
-- Tests drop their databases by force, also when the server's own vacuum is at work there.
GRANT pg_signal_backend TO tidegate;
SELECT 'CREATE DATABASE tidegate OWNER tidegate'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'tidegate') \gexec
SQL
}

# Fast shutdown: it does not wait for clients to leave.
stop_signal_postgres() {
    echo INT
}

# PostgreSQL refuses to run as root.
AS_POSTGRES=()
if ((EUID == 0)); then
    AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi

as_postgres() {
    "${AS_POSTGRES[@]}" "$@"
}
