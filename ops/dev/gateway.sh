# shellcheck shell=bash
# The simulated payment gateway as a process of its own, and the one keys file of all nodes.

GATEWAY=127.0.0.1:$GATEWAY_PORT
KEYS=$DIR/keys.json

packages_gateway() {
    have curl || echo curl
}

address_gateway() {
    echo "$GATEWAY"
}

# Builds `tidegate` only where there is none.
fetch_gateway() {
    local program
    program=$(tidegate_program)
    if [[ -z $program ]]; then
        echo "building tidegate" >&2
        (cd "$ROOT" && cargo build --locked --quiet --bin tidegate 9>&-)
    elif [[ ! -x $program ]]; then
        echo "TIDEGATE: $program is no executable" >&2
        return 1
    fi
}

start_gateway() {
    local folder=$DIR/gateway
    launch gateway "$GATEWAY_PORT" "$(tidegate_program)" gateway --listen "$GATEWAY" \
        --data "$folder/data" --simulate 'decline=0&unknown=0&duplicate=0'
}

ready_gateway() {
    curl -s -m 3 -o /dev/null "http://$GATEWAY/"
}

prepare_gateway() {
    local program
    [[ ! -e $KEYS ]] || return 0
    program=$(tidegate_program)
    if ! TIDEGATE_KEYS_FILE=$KEYS "$program" keys make --data "$DIR/gateway/data" \
        >>"$DIR/gateway/log" 2>&1; then
        blame gateway "runs, but $program could not make $KEYS"
        return 1
    fi
}

# Prints TIDEGATE if that is set, else the newest that cargo built, else nothing.
tidegate_program() {
    local built=${CARGO_TARGET_DIR:-$ROOT/target}
    local debug=$built/debug/tidegate release=$built/release/tidegate
    if [[ -n ${TIDEGATE:-} ]]; then
        realpath -m "$TIDEGATE"
    elif [[ -x $release && ! $debug -nt $release ]]; then
        echo "$release"
    elif [[ -x $debug ]]; then
        echo "$debug"
    fi
}
