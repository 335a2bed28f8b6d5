"""Dashboards through Grafana's own types (grafana-foundation-sdk): what those do not know comes back changed or not at all."""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of the Prometheus data source and not of dashboards: it reads them itself.
OF_THE_DATA_SOURCE = {"definition", "titleFormat", "step"}


def differences(before, after, path=""):
    """Places where `after` lacks something of `before` or has something else."""
    if isinstance(before, dict):
        for key, value in before.items():
            if not isinstance(after, dict) or key not in after:
                if key not in OF_THE_DATA_SOURCE:
                    yield f"{path}.{key}"
            else:
                yield from differences(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after)):
            yield from differences(one, other, f"{path}[{at}]")
    elif before != after:
        yield path


def main():
    register_default_plugins()
    files = sorted((ROOT / "config/grafana").glob("*.json"))
    wrong = []
    for file in files:
        text = json.loads(file.read_text())
        back = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(text)))
        wrong += [f"{file.name}: Grafana does not know {place}" for place in differences(text, back)]
    if wrong:
        sys.exit("FAILED\n" + "\n".join(wrong))
    print(f"ok   Grafana's own types take {len(files)} dashboards as they are")


if __name__ == "__main__":
    main()
