# shellcheck shell=bash
# Apache Kafka: one node, broker and KRaft controller in one process. Topics are made by those who
# own them, never by a stray request.

KAFKA=127.0.0.1:$KAFKA_PORT
KAFKA_JARS=kafka-$KAFKA_VERSION

packages_kafka() {
    java_packages "$KAFKA_JARS"
}

fetch_kafka() {
    fetch_jars "$KAFKA_JARS" "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" \
        "org.apache.kafka:kafka-tools:$KAFKA_VERSION" "org.slf4j:slf4j-simple:$SLF4J_VERSION"
}

address_kafka() {
    echo "$KAFKA"
}

start_kafka() {
    local folder=$DIR/kafka id
    expect_java
    kafka_settings >"$folder/server.properties"
    if [[ ! -e $folder/data/meta.properties ]]; then
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)
        kafka_java kafka.tools.StorageTool format --cluster-id="$id" \
            --config "$folder/server.properties" >>"$folder/log" 2>&1 || {
            blame kafka "could not format its storage"
            return 1
        }
    fi
    launch kafka "$KAFKA_PORT" java -Xms256m -Xmx512m -XX:+ExitOnOutOfMemoryError \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        -cp "$CACHE/$KAFKA_JARS/*" kafka.Kafka "$folder/server.properties"
}

patience_kafka() {
    echo 120
}

# Whether a metadata request (version 1, no topics) names a broker.
ready_kafka() {
    local answer
    answer=$(ask "$KAFKA_PORT" 12 0000000e0003000100000001ffff00000000) || return 1
    [[ $answer =~ ^[0-9a-f]{8}00000001 && $((16#${answer:16:8})) -ge 1 ]]
}

# Runs one of Kafka's own tools.
kafka_java() {
    java -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        -cp "$CACHE/$KAFKA_JARS/*" "$@"
}

kafka_settings() {
    cat <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$KAFKA,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://$KAFKA
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$DIR/kafka/data
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# 16 MiB instead of 128: the whole heap has 512.
log.cleaner.dedupe.buffer.size=16777216
CONF
}
