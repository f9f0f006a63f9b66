"""What deploy/ holds is valid by the schemas of its tools, and fits what Grosz serves."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from core.config import METRICS_PORTS, Settings, TelemetrySettings
from tests.kit.fixtures import REPOSITORY
from tests.unit.test_metric_names import EXPOSED, NAMED

DEPLOY = REPOSITORY / "deploy"
COMPOSE = sorted(DEPLOY.glob("docker-compose*.yml"))
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").rglob("*.yaml") if path.name != "kustomization.yaml")
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = DEPLOY / "prometheus" / "alerts.yml"

# A release that is old enough to run everywhere, and the newest that the validator knows.
KUBERNETES = ("1.30.0", kubernetes_validate.latest_version())

ROLES = {"bidder": 8080, "tracker": 8081, "worker": 8083, "admin": 8082}


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_dashboards_are_what_their_description_makes_of_them() -> None:
    run(sys.executable, "scripts/make-dashboards.py", "--check")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_asks_for_metrics_that_exist(path: Path) -> None:
    queries = [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]
    assert all(NAMED.search(query) for query in queries)
    assert {name for query in queries for name in NAMED.findall(query)} <= EXPOSED


@pytest.mark.needs_package("promtool")
def test_queries_of_dashboards_are_promql(tmp_path: Path) -> None:
    expressions = [
        target["expr"].replace("$__rate_interval", "5m")
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]
    rules = [{"record": f"query:{at}", "expr": expression} for at, expression in enumerate(expressions)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run("promtool", "check", "rules", str(file))


@pytest.mark.needs_package("promtool")
def test_alert_rules_are_raised_by_what_they_are_for() -> None:
    run("promtool", "check", "config", "deploy/prometheus/prometheus.yml")
    run("promtool", "test", "rules", "deploy/prometheus/alerts.test.yml")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_alert_has_a_test_and_an_entry_in_the_runbook() -> None:
    tested = (DEPLOY / "prometheus" / "alerts.test.yml").read_text()
    assert [rule["alert"] for rule in alerts() if f"alertname: {rule['alert']}\n" not in tested] == []
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text()
    assert [rule["alert"] for rule in alerts() if f"### {rule['alert']}\n" not in runbook] == []


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_compose_files_follow_the_compose_specification(path: Path) -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path))


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_are_valid_in_strict_mode(path: Path, version: str) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, version, strict=True)


def test_kustomize_lists_every_manifest() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]


def test_every_role_has_probes_a_port_and_a_disruption_budget() -> None:
    found = [one for path in MANIFESTS for one in documents(path)]
    deployments = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "Deployment"}
    assert set(deployments) == set(ROLES)
    for role, port in ROLES.items():
        (container,) = deployments[role]["template"]["spec"]["containers"]
        assert container["args"] == [role]
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        own = {} if role == "worker" else {"metrics": port + 1_000}  # the worker's port serves nothing else
        assert ports == {"http": port, **own}
        scraped = deployments[role]["template"]["metadata"]["annotations"]["prometheus.io/port"]
        assert scraped == str(ports.get("metrics", port))
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    protected = {one["metadata"]["name"] for one in found if one["kind"] == "PodDisruptionBudget"}
    assert protected == set(ROLES)


def test_every_role_is_scraped_where_its_metrics_are() -> None:
    telemetry, worker = TelemetrySettings(), Settings().worker.port
    where = {role: getattr(telemetry, name) for role, name in METRICS_PORTS.items()} | {"worker": worker}
    (scraping,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    targets = {one["job_name"]: one["static_configs"][0]["targets"] for one in scraping["scrape_configs"]}
    assert targets == {role: [f"{role}:{port}"] for role, port in where.items()}
    assert "GROSZ_TELEMETRY_HOST=0.0.0.0" in (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")


def environment_names() -> set[str]:
    names = set()
    for path in (*COMPOSE, *MANIFESTS):
        for document in documents(path):
            services = document.get("services", {}).values()
            places = [document.get("data"), document.get("stringData"), *(one.get("environment") for one in services)]
            names |= {name for place in places if place for name in place if name.startswith("GROSZ_")}
    return names


def test_settings_in_manifests_exist() -> None:
    known = {
        f"GROSZ_{section}_{name}".upper()
        for section, component in Settings.__annotations__.items()
        for name in getattr(component, "__struct_fields__", ())
    }
    assert environment_names() <= known


@pytest.mark.needs_package("systemd-analyze")
@pytest.mark.parametrize("unit", ["grosz.service", "grosz@.service"])
def test_units_are_read_by_systemd(unit: str, tmp_path: Path) -> None:
    # systemd looks whether the program is there, which it is where the unit is installed and not here.
    program = shutil.which("true")
    text = (DEPLOY / "systemd" / unit).read_text().replace("/opt/grosz/bin/grosz", str(program))
    (tmp_path / unit).write_text(text.replace("User=grosz", "User=root").replace("Group=grosz", "Group=root"))
    run("systemd-analyze", "verify", "--man=no", str(tmp_path / unit))
