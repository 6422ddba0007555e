# shellcheck shell=bash
# What the stack needs on the machine: Debian's packages, and jars cached by version, so that the
# second time no network is needed.

have() {
    command -v "$1" >/dev/null
}

# Installs the Debian packages that the named servers lack. Where Debian starts a service with
# one, it keeps its own ports and folders: the stack neither uses nor touches it.
install_packages() {
    local missing
    mapfile -t missing < <(for name; do call packages "$name"; done | sort -u)
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) || ! have apt-get; then
        echo "the stack needs these Debian packages: sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}" >&2
    mkdir -p "$DIR"
    apt_install "${missing[@]}" >"$DIR/apt.log" 2>&1 && return 0
    echo "apt-get failed; the end of $DIR/apt.log:" >&2
    tail -n 15 "$DIR/apt.log" >&2
    return 1
}

apt_install() {
    local install=(apt-get install -y --no-install-recommends "$@")
    export DEBIAN_FRONTEND=noninteractive
    "${install[@]}" 9>&- || { apt-get update 9>&- && "${install[@]}" 9>&-; }
}

# fetch_python FOLDER PACKAGE...: packages of PyPI in a folder of their own, put in place in one
# step; who comes while another fetches waits and finds them there.
fetch_python() {
    local folder=$1
    mkdir -p "$(dirname "$folder")"
    (
        flock 8
        [[ ! -d $folder ]] || exit 0
        if ! python3 -m pip --version >/dev/null 2>&1; then
            if ((EUID != 0)) || ! have apt-get; then
                echo "fetching ${*:2} takes pip: sudo apt-get install python3-pip" >&2
                exit 1
            fi
            apt_install python3-pip >&2
        fi
        rm -rf "$folder.part"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --target "$folder.part" "${@:2}" >&2 || exit 1
        mv -T "$folder.part" "$folder"
    ) 8>"$folder.lock"
}

# fetch_jars FOLDER GROUP:ARTIFACT:VERSION...: the artefacts and all they depend on, put in place
# in one step.
fetch_jars() {
    local folder=$CACHE/$1 work
    [[ -d $folder ]] && return 0
    work=$(mktemp -d "$CACHE/fetch.XXXXXX") || return 1
    write_pom "${@:2}" >"$work/pom.xml"
    echo "fetching ${*:2}" >&2
    if ! mvn -q -B -f "$work/pom.xml" -DoutputDirectory="$work/jars" \
        "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_VERSION:copy-dependencies" \
        >"$work/log" 2>&1 9>&-; then
        tail -n 15 "$work/log" >&2
        rm -rf "$work"
        return 1
    fi
    mv "$work/jars" "$folder"
    rm -rf "$work"
}

write_pom() {
    local group artifact version
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>dev</groupId>'
    echo '<artifactId>stack</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    while IFS=: read -r group artifact version; do
        echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId>" \
            "<version>$version</version></dependency>"
    done < <(printf '%s\n' "$@")
    echo '</dependencies></project>'
}

# Says so when a program is not of the version that is pinned.
expect_version() {
    local program=$1 pinned=$2 found=$3
    [[ $found == "$pinned" || $found == "$pinned".* ]] ||
        echo "$program is version $found here; ops/dev was tried with $pinned" >&2
}

# Java's packages, and Maven where jars have to be fetched into FOLDER.
java_packages() {
    have java || echo "$JAVA_PACKAGE"
    [[ -d $CACHE/$1 ]] || have mvn || echo maven
}

expect_java() {
    local found
    found=$(java -version 2>&1 | sed -n 's/.*version "\([^"]*\)".*/\1/p')
    expect_version java "$JAVA_VERSION" "$found"
}
