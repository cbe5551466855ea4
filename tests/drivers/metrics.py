"""Prints what a metrics endpoint says, a JSON line for each sample, as Prometheus' own parsers read it in either form."""

import json
import sys
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

FORMS = {
    "application/openmetrics-text": openmetrics_parser.text_string_to_metric_families,
    "text/plain": parser.text_string_to_metric_families,
}


def samples(form, parse):
    request = urllib.request.Request(sys.argv[1], headers={"Accept": form})
    with urllib.request.urlopen(request) as answer:
        kind = answer.headers["Content-Type"]
        text = answer.read().decode()
    if not kind.startswith(form):
        sys.exit(f"{form} was asked for, and its type is {kind}")
    for family in parse(text):
        if not family.documentation:
            sys.exit(f"{family.name} says nothing of itself")
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            yield sample.name, labels, sample.value


told = {form: list(samples(form, parse)) for form, parse in FORMS.items()}
names = [{name for name, _, _ in of_form} for of_form in told.values()]
if names[0] != names[1]:
    sys.exit(f"one form tells more than the other: {names[0] ^ names[1]}")
for sample in told["application/openmetrics-text"]:
    print(json.dumps(sample))
