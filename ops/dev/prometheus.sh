# shellcheck shell=bash
# Prometheus, scraping itself and whatever is named in a file under its folder `targets`: nodes
# listen on ports of their own, so whoever starts them says where.

PROMETHEUS=127.0.0.1:$PROMETHEUS_PORT

packages_prometheus() {
    have prometheus && have promtool || echo "$PROMETHEUS_PACKAGE"
    # For the tests: nothing of this stack starts it.
    have prometheus-node-exporter || echo prometheus-node-exporter
    have curl || echo curl
}

address_prometheus() {
    echo "$PROMETHEUS"
}

start_prometheus() {
    local folder=$DIR/prometheus found
    found=$(prometheus --version 2>&1 | sed -n 's/^prometheus, version \([0-9.]*\).*/\1/p')
    expect_version prometheus "$PROMETHEUS_VERSION" "$found"
    mkdir -p "$folder/targets"
    prometheus_settings >"$folder/prometheus.yml"
    launch prometheus "$PROMETHEUS_PORT" prometheus --config.file="$folder/prometheus.yml" \
        --storage.tsdb.path="$folder/data" --storage.tsdb.retention.time=1d \
        --web.listen-address="$PROMETHEUS" --log.level=warn
}

ready_prometheus() {
    curl -fs -m 3 -o /dev/null "http://$PROMETHEUS/-/ready"
}

prometheus_settings() {
    cat <<CONF
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: prometheus
    static_configs:
      - targets: ["$PROMETHEUS"]
  - job_name: tidegate
    file_sd_configs:
      - files: ["$DIR/prometheus/targets/*.json"]
CONF
}
