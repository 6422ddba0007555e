# shellcheck shell=bash
# Processes: started apart from us, recorded in pid files, asked whether they are ready, ended.
# A recorded pid is signalled only while its command line still names the process's own folder.

# launch PROCESS PORT COMMAND...: starts it in its folder and in a session of its own, so that it
# outlives us and holds none of our pipes.
launch() {
    local folder=$DIR/$1 port=$2
    if port_answers "$port"; then
        echo "$1: port $port is taken by another program" >&2
        return 1
    fi
    (cd "$folder" && exec setsid "${@:3}") >>"$folder/log" 2>&1 </dev/null 9>&- &
    echo $! >"$folder/pid"
}

# Prints a process's pid, or fails if it is not running.
pid_of() {
    local pid line
    [[ -f $DIR/$1/pid ]] || return 1
    pid=$(<"$DIR/$1/pid")
    [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/cmdline ]] || return 1
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    [[ $line == *"$DIR/$1/"* ]] || return 1
    echo "$pid"
}

# Waits until a process answers; one that ends or stays silent is a failure that shows its log.
await_ready() {
    local process=$1 pid limit
    pid=$(<"$DIR/$process/pid")
    limit=$(call patience "$process")
    limit=$((SECONDS + ${limit:-60}))
    until pid_of "$process" >/dev/null && call ready "$process" "$process"; do
        if [[ ! -d /proc/$pid ]]; then
            blame "$process" "ended while starting"
            return 1
        fi
        if ((SECONDS > limit)); then
            blame "$process" "does not answer"
            return 1
        fi
        sleep 0.1
    done
}

# Ends a process as it wants to be ended; the hard way when that takes too long.
stop() {
    local pid signal
    pid=$(pid_of "$1") || return 0
    signal=$(call stop_signal "$1")
    kill -s "${signal:-TERM}" "$pid" 2>/dev/null || true
    gone 200 "$pid" || kill_hard "$1"
}

# kill -9, its children too, as if the machine under them had gone.
kill_hard() {
    local pid children
    pid=$(pid_of "$1") || return 1
    # Stopped first, so that no child is born between the look and the blow.
    kill -s STOP "$pid"
    mapfile -t children < <(ps -o pid= --ppid "$pid" | tr -d ' ')
    kill -s KILL "$pid" "${children[@]}" 2>/dev/null || true
    gone 100 "$pid" "${children[@]}" || {
        echo "$1: process $pid does not die" >&2
        return 1
    }
}

# gone TENTHS PID...: waits until all of them are dead.
gone() {
    local left=$1 pid
    for pid in "${@:2}"; do
        until is_dead "$pid"; do
            ((left-- > 0)) || return 1
            sleep 0.1
        done
    done
}

# Dead, though perhaps not reaped yet: what is left then has no command line.
is_dead() {
    local line
    line=$(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline") || return 0
    [[ -z $line ]]
}

blame() {
    {
        echo "$1 $2; the end of $DIR/$1/log:"
        tail -n 15 "$DIR/$1/log" | cut -c 1-300 | sed 's/^/    /'
    } >&2
}

port_answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# ask PORT COUNT HEX...: sends bytes one message after the other, and prints as hex the first
# COUNT bytes of the answer to each. It speaks the binary protocols without their tools, which
# take seconds to start.
ask() {
    timeout 5 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        for message in "${@:3}"; do
            printf "$(sed "s/../\\\\x&/g" <<<"$message")" >&3
            head -c "$2" <&3 | od -An -v -t x1 | tr -d " \n"
            echo
        done
    ' ask "$@" 2>/dev/null
}
