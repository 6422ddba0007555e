"""Writes the Grafana dashboards, from the table of metrics: `dashboards.py FOLDER`.

A panel is a metric's name. What it asks, its title and its unit follow from the metric's row in
metrics.tsv, so a query cannot name what is not there. Needs grafana-foundation-sdk; ../check runs
it with the pinned one.
"""

import csv
import pathlib
import sys

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import DataSourceRef

HERE = pathlib.Path(__file__).parent
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
NODE = 'instance=~"$instance"'

# Gauges of what all nodes of a sale share: each shows the whole, so nodes are not added up.
SHARED = {
    "tidegate_allocator_holds",
    "tidegate_allocator_seats",
    "tidegate_ledger_log_backlog",
    "tidegate_ledger_log_backlog_age_seconds",
    "tidegate_payment_worker_outbox_length",
    "tidegate_payment_worker_unknown_age_seconds",
    "tidegate_waiting_room_line_head_age_seconds",
    "tidegate_waiting_room_line_length",
    "tidegate_waiting_room_line_now_serving",
    "tidegate_waiting_room_queues",
    "tidegate_waiting_room_slots_active",
    "tidegate_waiting_room_slots_capacity",
}


def table():
    with open(HERE / "metrics.tsv", encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


METRICS = table()


def queries(name, by=None):
    """What a panel asks about a metric: (expression, legend)."""
    row = METRICS[name]
    labels = [] if row["labels"] == "-" else row["labels"].split(",")
    labels = labels if by is None else by
    if row["source"] == "node-exporter":
        labels = [label for label in labels if label == "mountpoint"] + ["instance"]
        return [(name, legend(labels))]
    selector = f"{name}{{{NODE}}}"
    if row["kind"] == "counter":
        return [(grouped("sum", labels, f"rate({selector}[$__rate_interval])"), legend(labels))]
    if row["kind"] == "histogram":
        labels = [] if by is None else by
        rate = f"rate({name}_bucket{{{NODE}}}[$__rate_interval])"
        inner = grouped("sum", ["le", *labels], rate)
        return [
            (f"histogram_quantile({quantile}, {inner})", f"{mark} {legend(labels)}".strip())
            for quantile, mark in [(0.5, "median"), (0.99, "p99")]
        ]
    if name in SHARED:
        return [(grouped("max", labels, selector), legend(labels))]
    labels = ["instance", *labels]
    return [(grouped("sum", labels, selector), legend(labels))]


def grouped(how, labels, inner):
    return f"{how} by ({', '.join(labels)}) ({inner})" if labels else f"{how}({inner})"


def legend(labels):
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def unit(name):
    if METRICS[name]["kind"] == "counter":
        return "cps"
    for end, unit_of in [("_seconds", "s"), ("_bytes", "bytes")]:
        if name.endswith(end):
            return unit_of
    return "short"


def target(index, expression, name):
    query = prometheus.Dataquery().ref_id("ABCDEFGH"[index]).datasource(SOURCE).expr(expression)
    return query.legend_format(name) if name else query


def graph(title, asked, unit_of, meaning=""):
    panel = timeseries.Panel().title(title).unit(unit_of).axis_soft_min(0).height(7).span(8)
    panel = panel.datasource(SOURCE).fill_opacity(10).tooltip(
        common.VizTooltipOptions().mode("multi")
    )
    panel = panel.legend(
        common.VizLegendOptions().show_legend(True).display_mode("list").placement("bottom")
    )
    if meaning:
        panel = panel.description(meaning)
    for index, (expression, name) in enumerate(asked):
        panel = panel.with_target(target(index, expression, name))
    return panel


def of(name, by=None):
    title = METRICS[name]["meaning"]
    return graph(title, queries(name, by), unit(name), name)


def number(title, expression, unit_of="short"):
    panel = stat.Panel().title(title).unit(unit_of).height(4).span(4).datasource(SOURCE)
    return panel.with_target(target(0, expression, "").instant())


def board(uid, title, panels, nodes=True):
    made = dashboard.Dashboard(title).uid(uid).tags(["tidegate"]).timezone("browser")
    made = made.refresh("10s").time("now-30m", "now").tooltip(1).readonly()
    made = made.with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    if nodes:
        made = made.with_variable(
            dashboard.QueryVariable("instance")
            .label("Node")
            .datasource(SOURCE)
            .query('label_values(up{job="tidegate"}, instance)')
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
        )
    made = made.link(
        dashboard.DashboardLink("Tidegate").type("dashboards").tags(["tidegate"]).as_dropdown(True)
    )
    for panel in panels:
        made = made.with_panel(panel)
    return made


def overview():
    return board(
        "tidegate-overview",
        "Tidegate: a sale",
        [
            number("Nodes that answer", 'sum(up{job="tidegate"})'),
            number("People waiting", "tidegate:line_length:max"),
            number("Let in a second", "tidegate:passes:rate1m", "cps"),
            number("Seats free", 'tidegate:seats:max{state="free"}'),
            number("Seats sold", 'tidegate:seats:max{state="sold"}'),
            number("Invariants broken", "sum(tidegate_audit_broken)"),
            graph(
                "Alerts that fire",
                [('sum by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}}")],
                "short",
            ),
            graph("Seats", [("tidegate:seats:max", "{{state}}")], "short"),
            graph(
                "Joined and let in",
                [("tidegate:joins:rate1m", "joins"), ("tidegate:passes:rate1m", "passes")],
                "cps",
            ),
            graph("Bookings ended", [("tidegate:outcomes:rate1m", "{{status}}")], "cps"),
            graph("Behind the booking log", [("tidegate:backlog_age_seconds:max", "{{group}}")], "s"),
            graph(
                "Charges without an answer",
                [("tidegate:charges_unknown:ratio1m", "of all charges")],
                "percentunit",
            ),
            graph("Requests", [("tidegate:requests:rate1m", "{{status}}")], "reqps"),
            graph("Errors", [("tidegate:request_errors:ratio1m", "5xx")], "percentunit"),
            graph(
                "What the audit looked at",
                [("max by (invariant, name) (tidegate_audit_checked)", "{{invariant}} {{name}}")],
                "short",
            ),
        ],
        nodes=False,
    )


def stage(uid, title, prefix, first=()):
    """All metrics of a stage; those of `first` first."""
    names = [name for name in METRICS if name.startswith(prefix)]
    names.sort(key=lambda name: first.index(name) if name in first else len(first))
    return board(uid, title, [of(name) for name in names])


def saturation():
    prefixes = ("tidegate_ingress_", "tidegate_ops_", "node_filesystem_avail", "node_timex_offset")
    routed = {"tidegate_ingress_requests_total", "tidegate_ingress_request_seconds"}
    panels = [
        of("tidegate_ingress_requests_total", ["status"]),
        of("tidegate_ingress_requests_total", ["route"]),
        of("tidegate_ingress_request_seconds", ["route"]),
    ]
    panels += [of(name) for name in METRICS if name.startswith(prefixes) and name not in routed]
    return board("tidegate-saturation", "Tidegate: saturation", panels)


def boards():
    queue = [f"tidegate_waiting_room_{end}" for end in
             ["line_length", "line_head_age_seconds", "line_now_serving", "passes_issued_total",
              "slots_active", "slots_capacity"]]
    return {
        "overview": overview(),
        "queue": stage("tidegate-queue", "Tidegate: queue", "tidegate_waiting_room_", queue),
        "holds": stage("tidegate-holds", "Tidegate: holds", "tidegate_allocator_",
                       ["tidegate_allocator_seats", "tidegate_allocator_holds"]),
        "payments": stage("tidegate-payments", "Tidegate: payments", "tidegate_payment_worker_"),
        "ledger": stage("tidegate-ledger", "Tidegate: ledger", "tidegate_ledger_"),
        "saturation": saturation(),
    }


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in boards().items():
        text = JSONEncoder(sort_keys=True, indent=1).encode(made.build())
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


main()
