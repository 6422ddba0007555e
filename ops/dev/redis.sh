# shellcheck shell=bash
# Redis: one server, and a cluster of three masters with a replica each. Neither keeps anything
# over a restart: Tidegate's fast state can always be lost.

REDIS=127.0.0.1:$REDIS_PORT

packages_redis() {
    have redis-server && have redis-cli || echo "$REDIS_PACKAGE"
}

packages_redis_cluster() {
    packages_redis
}

address_redis() {
    echo "$REDIS"
}

start_redis() {
    local found
    found=$(redis-server --version | sed -n 's/.* v=\([^ ]*\).*/\1/p')
    expect_version redis "$REDIS_VERSION" "$found"
    redis_settings redis "$REDIS_PORT" 1gb >"$DIR/redis/redis.conf"
    launch redis "$REDIS_PORT" redis-server "$DIR/redis/redis.conf"
}

ready_redis() {
    [[ $(ask_redis "$REDIS_PORT" ping) == PONG ]]
}

# One node's address, or the first and the last port of all.
address_redis_cluster() {
    case $1 in
        redis-cluster) echo "127.0.0.1:$((REDIS_CLUSTER_PORT + 1))-$((REDIS_CLUSTER_PORT + 6))" ;;
        *) echo "127.0.0.1:$(node_port "$1")" ;;
    esac
}

start_redis_cluster() {
    local node=$1 port
    port=$(node_port "$node")
    {
        redis_settings "$node" "$port" 256mb
        echo cluster-enabled yes
        echo cluster-config-file nodes.conf
        echo cluster-node-timeout 2000
        # A new replica need not wait for others to share its copy.
        echo repl-diskless-sync-delay 0
    } >"$DIR/$node/redis.conf"
    launch "$node" "$port" redis-server "$DIR/$node/redis.conf"
}

ready_redis_cluster() {
    [[ $(ask_redis "$(node_port "$1")" ping) == PONG ]]
}

# Joins fresh nodes into a cluster, then waits until all agree and every replica follows.
prepare_redis_cluster() {
    local node addresses=() limit=$((SECONDS + 30))
    for node in {1..6}; do
        addresses+=("127.0.0.1:$((REDIS_CLUSTER_PORT + node))")
    done
    if [[ $(cluster_field 1 cluster_known_nodes) == 1 ]]; then
        redis-cli --cluster create "${addresses[@]}" --cluster-replicas 1 --cluster-yes \
            >>"$DIR/redis-cluster-1/log" 2>&1 || {
            blame redis-cluster-1 "could not make the cluster"
            return 1
        }
    fi
    until cluster_is_whole; do
        if ((SECONDS > limit)); then
            blame redis-cluster-1 "sees no whole cluster"
            return 1
        fi
        sleep 0.1
    done
}

cluster_is_whole() {
    local node following=0
    for node in {1..6}; do
        [[ $(cluster_field "$node" cluster_state) == ok ]] || return 1
        if ask_redis $((REDIS_CLUSTER_PORT + node)) info replication |
            grep '^master_link_status:up' >/dev/null; then
            following=$((following + 1))
        fi
    done
    ((following == 3))
}

cluster_field() {
    ask_redis $((REDIS_CLUSTER_PORT + $1)) cluster info | tr -d '\r' | sed -n "s/^$2://p"
}

node_port() {
    echo $((REDIS_CLUSTER_PORT + ${1##*-}))
}

# ask_redis PORT COMMAND...: silence where nobody answers.
ask_redis() {
    timeout 5 redis-cli -h 127.0.0.1 -p "$1" "${@:2}" 2>/dev/null || true
}

# redis_settings PROCESS PORT MEMORY
redis_settings() {
    cat <<CONF
bind 127.0.0.1
port $2
dir $DIR/$1
save ""
appendonly no
maxmemory $3
maxmemory-policy noeviction
# The command line keeps naming the folder, by which the process is known as ours.
set-proc-title no
CONF
}
