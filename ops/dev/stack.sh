# shellcheck shell=bash
# The development stack as a whole: what there is, where it lives, and how one server goes up or
# down. Sourced by up, down, restart and kill; each server's own ways are in its file.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
FOLDER=/tmp/tidegate-dev # as tidegate.toml has it
DIR=${TIDEGATE_DEV_DIR:-$FOLDER}
SHIFT=${TIDEGATE_DEV_SHIFT:-0} # a second stack's ports are so much higher
CACHE=${TIDEGATE_DEV_CACHE:-$HOME/.cache/tidegate-dev}
# `tidegate` refuses variables that are not its configuration, and what is meant for a node must
# not bend the gateway.
[[ -z ${!TIDEGATE_@} ]] || unset "${!TIDEGATE_@}"

SERVERS=(redis redis-cluster postgres kafka cassandra prometheus gateway)

source "$HERE/versions"
source "$HERE/ports"
for port in $(sed -n 's/^\([A-Z_]*_PORT\)=.*/\1/p' "$HERE/ports"); do
    printf -v "$port" '%d' $((${!port} + SHIFT))
done
source "$HERE/process.sh"
source "$HERE/install.sh"
source "$HERE/redis.sh"
source "$HERE/postgres.sh"
source "$HERE/kafka.sh"
source "$HERE/cassandra.sh"
source "$HERE/prometheus.sh"
source "$HERE/gateway.sh"

# Prints the server that a process belongs to: the cluster has six, the others one each.
server_of() {
    case $1 in
        redis-cluster-[1-6]) echo redis-cluster ;;
        *) echo "$1" ;;
    esac
}

# Prints the processes behind a name.
processes_of() {
    case $1 in
        redis-cluster) printf '%s\n' redis-cluster-{1..6} ;;
        *) echo "$1" ;;
    esac
}

# call VERB NAME ARGUMENT...: what the server behind a name does for a verb, if anything.
call() {
    local function
    function=$1_$(server_of "$2")
    shift 2
    if declare -F "${function//-/_}" >/dev/null; then
        "${function//-/_}" "$@"
    fi
}

# Leaves with 2 unless every name is a server's, or one node's of the cluster.
check_names() {
    local name
    for name; do
        if [[ " ${SERVERS[*]} " != *" $(server_of "$name") "* ]]; then
            echo "${0##*/}: no server is called $name; there are: ${SERVERS[*]}, and" \
                "redis-cluster-1 to redis-cluster-6" >&2
            exit 2
        fi
    done
}

# One up, down or restart at a time; the lock outlives what `down` removes.
take_turn() {
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock --wait 900 9 || {
        echo "${0##*/}: another up, down or restart has held $CACHE/lock for 15 minutes" >&2
        return 1
    }
}

# The folder of everything that `down` removes; one that is not ours is never touched.
make_folder() {
    if [[ -d $DIR && ! -O $DIR ]]; then
        echo "$DIR belongs to another user" >&2
        return 1
    fi
    if [[ -d $DIR && ! -e $DIR/.tidegate-dev && -n $(ls -A "$DIR") ]]; then
        echo "$DIR holds something else" >&2
        return 1
    fi
    mkdir -p "$DIR"
    chmod 755 "$DIR"
    touch "$DIR/.tidegate-dev"
}

# What is written twice, for the servers and for `tidegate`, must agree.
check_configuration() {
    local value
    ((SHIFT == 0)) || return 0
    for value in "redis://$REDIS" "kafka://$KAFKA" "postgres://tidegate@$POSTGRES/tidegate" \
        "scylla://$CASSANDRA/tidegate" "http://$GATEWAY" "$FOLDER/keys.json"; do
        if ! grep -qF "\"$value\"" "$HERE/tidegate.toml"; then
            echo "ops/dev/tidegate.toml does not name $value, as the stack has it" >&2
            return 1
        fi
    done
}

# Starts what is not running behind a name, waits until it answers, and says so in one line.
bring_up() {
    local name=$1 process from=$EPOCHREALTIME said="was up"
    local processes
    mapfile -t processes < <(processes_of "$name")
    for process in "${processes[@]}"; do
        if ! pid_of "$process" >/dev/null; then
            said=""
            mkdir -p "$DIR/$process"
            call start "$name" "$process"
        fi
    done
    for process in "${processes[@]}"; do
        await_ready "$process"
    done
    if [[ $name == "$(server_of "$name")" ]]; then
        call prepare "$name"
    fi
    say "$name" "${said:-up in $(seconds_since "$from") s}"
}

# Stops what runs behind a name and removes what it kept.
take_down() {
    local name=$1 process from=$EPOCHREALTIME said="was down"
    for process in $(processes_of "$name"); do
        if pid_of "$process" >/dev/null; then
            said=""
            stop "$process"
        fi
        rm -rf "${DIR:?}/$process"
    done
    say "$name" "${said:-down in $(seconds_since "$from") s}"
}

# bring_all VERB NAME...: does it for all names at once; fails if one fails, after all are through.
bring_all() {
    local verb=$1 name pids=() failed=0 pid
    shift
    for name; do
        "$verb" "$name" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    return "$failed"
}

say() {
    printf '%-15s %-22s %s\n' "$1" "$(call address "$1" "$1")" "$2"
}

# Seconds with one decimal since an EPOCHREALTIME.
seconds_since() {
    local tenths=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 100000))
    echo "$((tenths / 10)).$((tenths % 10))"
}
