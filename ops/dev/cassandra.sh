# shellcheck shell=bash
# Apache Cassandra: one node, for CQL, which ScyllaDB speaks too. `up` makes the keyspace; tables
# are for those who own them.

CASSANDRA=127.0.0.1:$CASSANDRA_PORT
CASSANDRA_JARS=cassandra-$CASSANDRA_VERSION

packages_cassandra() {
    java_packages "$CASSANDRA_JARS"
}

fetch_cassandra() {
    fetch_jars "$CASSANDRA_JARS" "org.apache.cassandra:cassandra-all:$CASSANDRA_VERSION"
}

address_cassandra() {
    echo "$CASSANDRA"
}

start_cassandra() {
    local folder=$DIR/cassandra opened=() name
    expect_java
    mkdir -p "$folder/conf"
    cassandra_settings >"$folder/conf/cassandra.yaml"
    cassandra_logging >"$folder/conf/logback.xml"
    for name in "${CASSANDRA_EXPORTS[@]}"; do
        opened+=("--add-exports=$name=ALL-UNNAMED")
    done
    for name in "${CASSANDRA_OPENS[@]}"; do
        opened+=("--add-opens=$name=ALL-UNNAMED")
    done
    # A lone node need not wait for gossip and for the ring to settle.
    launch cassandra "$CASSANDRA_PORT" java -Xms512m -Xmx512m -XX:+ExitOnOutOfMemoryError \
        "${opened[@]}" -Djdk.attach.allowAttachSelf=true \
        -Dcassandra.config="file://$folder/conf/cassandra.yaml" \
        -Dcassandra.storagedir="$folder/data" -Dcassandra-foreground=yes \
        -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=1000 \
        -cp "$folder/conf:$CACHE/$CASSANDRA_JARS/*" \
        org.apache.cassandra.service.CassandraDaemon
}

patience_cassandra() {
    echo 180
}

ready_cassandra() {
    cql "SELECT key FROM system.local"
}

prepare_cassandra() {
    cql "CREATE KEYSPACE IF NOT EXISTS tidegate
        WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}" || {
        blame cassandra "could not make the keyspace"
        return 1
    }
}

# Runs one statement by the native protocol, version 4: STARTUP, then QUERY at consistency ONE.
# Succeeds if the answers are READY and RESULT.
cql() {
    local startup=0400000001000000160001000b43514c5f56455253494f4e0005332e302e30 answers text
    text=$(printf '%s' "$1" | od -An -v -t x1 | tr -d ' \n')
    local length=$((${#text} / 2))
    answers=$(ask "$CASSANDRA_PORT" 9 "$startup" \
        "$(printf '0400000107%08x%08x%s000100' $((length + 7)) "$length" "$text")") || return 1
    [[ $answers =~ ^84......02.*$'\n'84......08 ]]
}

cassandra_settings() {
    local folder=$DIR/cassandra/data
    cat <<CONF
cluster_name: tidegate-dev
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
storage_port: $CASSANDRA_STORAGE_PORT
ssl_storage_port: $CASSANDRA_STORAGE_TLS_PORT
rpc_address: 127.0.0.1
start_native_transport: true
native_transport_port: $CASSANDRA_PORT
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:$CASSANDRA_STORAGE_PORT"}]
data_file_directories: ["$folder/data"]
commitlog_directory: $folder/commitlog
saved_caches_directory: $folder/saved_caches
hints_directory: $folder/hints
cdc_raw_directory: $folder/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 1000ms
disk_access_mode: mmap_index_only
auto_snapshot: false
CONF
}

cassandra_logging() {
    cat <<'CONF'
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
CONF
}

# What Cassandra 5 reaches into on Java 17.
CASSANDRA_EXPORTS=(
    java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch
    java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry
    java.rmi/sun.rmi.server java.rmi/sun.rmi.transport.tcp java.sql/java.sql
    jdk.unsupported/sun.misc jdk.attach/sun.tools.attach jdk.compiler/com.sun.tools.javac.file
)
CASSANDRA_OPENS=(
    java.base/java.{io,lang,lang.module,lang.reflect,math,net,nio,nio.charset,nio.file.spi}
    java.base/java.{util,util.concurrent,util.concurrent.atomic}
    java.base/jdk.internal.{loader,math,module,ref,reflect,util.jar} java.base/sun.nio.ch
    jdk.management/com.sun.management.internal jdk.management.jfr/jdk.management.jfr
    java.desktop/com.sun.beans.introspect
)
