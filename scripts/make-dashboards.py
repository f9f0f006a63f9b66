#!/usr/bin/env python3
"""Writes deploy/grafana/dashboards/*.json from deploy/grafana/panels.toml; `--check` says whether they are up to date.

Grafana's own editor writes hundreds of defaults a panel, in which no reviewer finds a changed query.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "grafana"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT = 12, 8


def plot(number: int, panel: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel["title"],
        "description": panel.get("description", ""),
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": WIDTH * (number % 2), "y": HEIGHT * (number // 2)},
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": query, "legendFormat": legend, "datasource": SOURCE}
            for at, (query, legend) in enumerate(panel["queries"])
        ],
    }


def dashboard(name: str, title: str, panels: list[dict[str, Any]]) -> dict[str, Any]:
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
    return {
        "uid": f"grosz-{name}",
        "title": title,
        "tags": ["grosz"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source]},
        "panels": [plot(at, panel) for at, panel in enumerate(panels)],
    }


def files() -> dict[Path, str]:
    """Path and content of every dashboard."""
    described = tomllib.loads((FOLDER / "panels.toml").read_text(encoding="utf-8"))
    return {
        FOLDER / "dashboards" / f"{name}.json": json.dumps(dashboard(name, one["title"], one["panels"]), indent=1)
        + "\n"
        for name, one in described.items()
    }


def main() -> int:
    stale = [path for path, text in files().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        print(
            "\n".join(f"{path.name} is out of date: run scripts/make-dashboards.py" for path in stale) or "up to date"
        )
        return 1 if stale else 0
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
