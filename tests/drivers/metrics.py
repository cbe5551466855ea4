"""Prints what an OpenMetrics endpoint says, a JSON line for each sample, as Prometheus' own parser reads it."""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1]) as answer:
    kind = answer.headers["Content-Type"]
    text = answer.read().decode()
if not kind.startswith("application/openmetrics-text"):
    sys.exit(f"its type is {kind}")
for family in text_string_to_metric_families(text):
    if not family.documentation:
        sys.exit(f"{family.name} says nothing of itself")
    for sample in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        print(json.dumps([sample.name, labels, sample.value]))
