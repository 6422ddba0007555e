"""Compares what rules, dashboards and runbook name with the table of metrics.

`names.py DASHBOARDS OUTPUT` also writes the dashboards' queries to OUTPUT as a file of rules, so
that promtool can parse them. PromQL is only scanned here, not parsed; ../check has promtool do that.
"""

import csv
import json
import pathlib
import re
import sys

from ruamel.yaml import YAML

HERE = pathlib.Path(__file__).parent
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"\b([a-zA-Z_][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?(\s*\()?")
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "inf", "nan"}
# Every series has these from Prometheus itself.
GIVEN = {"instance", "job"}


def table():
    """Labels by name; a histogram by the names that it is scraped under."""
    labels = {}
    with open(HERE / "metrics.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            own = set() if row["labels"] == "-" else set(row["labels"].split(","))
            if row["kind"] == "histogram":
                labels[row["name"] + "_bucket"] = own | {"le"}
                labels[row["name"] + "_sum"] = labels[row["name"] + "_count"] = own
            else:
                labels[row["name"]] = own
    return labels


def used(expression):
    """What an expression names: [(metric, its labels in the selector)], and labels it groups by."""
    bare = STRING.sub("", expression)
    grouped = {
        label.strip() for group in GROUPING.findall(bare) for label in group.split(",")
    } - {""}
    bare = re.sub(r"\[[^\]]*\]", "", GROUPING.sub("", bare))
    bare = re.sub(r"\boffset\s+\w+", "", bare)
    metrics = []
    for name, selector, call in SELECTOR.findall(bare):
        if not call and name.lower() not in WORDS:
            metrics.append((name, set(re.findall(r"([a-zA-Z_]\w*)\s*[=!]", selector))))
    return metrics, grouped


def rules():
    with open(HERE / "rules.yml", encoding="utf-8") as file:
        groups = YAML(typ="safe").load(file)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries(folder):
    for path in sorted(folder.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                asked = target["expr"].replace("$__rate_interval", "1m")
                yield f"{path.stem}: {panel['title']}", asked.replace("$instance", ".*")


def main():
    folder, output = map(pathlib.Path, sys.argv[1:])
    known, faults = table(), []
    written, asked = rules(), list(queries(folder))
    for rule in written:
        if "record" in rule:
            metrics, grouped = used(rule["expr"])
            known[rule["record"]] = grouped
    shown = set()
    expressions = [(r.get("alert") or r["record"], r["expr"]) for r in written] + asked
    for where, expression in expressions:
        metrics, grouped = used(expression)
        if not metrics:
            faults.append(f"{where} names no metric: {expression}")
        all_labels = set(GIVEN)
        for name, labels in metrics:
            if name not in known:
                faults.append(f"{where} names {name}, which is not in metrics.tsv")
                continue
            all_labels |= known[name]
            for label in labels - known[name] - GIVEN:
                faults.append(f"{where}: {name} has no label {label}")
        for label in grouped - all_labels:
            faults.append(f"{where} groups by {label}, which nothing there has")
    for _, expression in asked:
        shown |= {name for name, _ in used(expression)[0]}
    for name in known.keys() - shown:
        if name.startswith("tidegate_") and not name.endswith(("_sum", "_count")):
            faults.append(f"{name} is on no dashboard")
    runbook = (HERE / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(Tidegate\w+)` \|", runbook, re.MULTILINE))
    alerts = {rule["alert"] for rule in written if "alert" in rule}
    faults += [f"README.md says nothing of {name}" for name in alerts - told]
    faults += [f"README.md tells of {name}, which is no alert" for name in told - alerts]
    parsed = [{"record": f"query:{at}", "expr": e} for at, (_, e) in enumerate(asked)]
    output.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": parsed}]}))
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(alerts)} alerts, {len(written) - len(alerts)} records, {len(asked)} queries")


main()
