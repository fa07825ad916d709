"""What alerts and dashboards read is what instances show: scraped from running ones after traffic of every kind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.promql import Selector, selectors
from tests.kit.running import System, key_of, system

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "quartet.json"
METRICS_PAGE = ROOT / "docs" / "metrics.md"

FROM_ELSEWHERE = {"up", "probe_success", "probe_ssl_earliest_cert_expiry"}
"""What Prometheus itself and the blackbox exporter show."""

USER = 12345

Shown = dict[str, dict[str, set[str]]]
"""The values of each label, by series name."""


def rules() -> list[dict[str, Any]]:
    """Return every rule, in order."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def panels() -> Iterator[dict[str, Any]]:
    """Yield the dashboard's panels that show something."""
    yield from (panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row")


def plain(expression: str) -> str:
    """Fill in Grafana's variables."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")


def expressions() -> list[str]:
    """Return everything that is asked of Prometheus."""
    asked = [str(rule["expr"]) for rule in rules()]
    return asked + [plain(target["expr"]) for panel in panels() for target in panel["targets"]]


async def scraped(running: System) -> str:
    """Return what one instance shows."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{running.instances[0].url}/metrics")
    assert answer.status_code == 200
    return answer.text


def shown(page: str) -> Shown:
    """Return the series of a page with the values of their labels."""
    found: Shown = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = found[sample.name]
            for name, value in sample.labels.items():
                labels[name].add(value)
    return found


async def traffic(running: System) -> None:
    """Use every kind of command once, and be refused once."""
    for command, options in (
        ("채팅", {"질문": "왜?"}),
        ("이미지", {"설명": "달"}),
        ("비디오", {"설명": "산 #seconds=0.5"}),
    ):
        await (await running.ask(USER, command, options)).final(20)
    await (await running.ask(USER, "채팅", {"질문": "#refuse"})).final(20)
    await running.ask(USER, "핑")


async def test_what_is_asked_for_is_shown(tmp_path: Path) -> None:
    """Every metric that an alert or a panel reads is in an instance, with its labels; no user and no key is named."""
    async with system(tmp_path, image_cooldown_s=0, video_cooldown_s=0) as one:
        await traffic(one)
        page = await scraped(one)
    series = shown(page)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    read = {selector for expression in expressions() for selector in selectors(expression)}
    assert len(read) > 40
    missing = {s.metric for s in read} - set(series) - recorded - FROM_ELSEWHERE
    # An error has a series of its own only once it has happened.
    families = {family.name for family in text_string_to_metric_families(page)}
    assert {name for name in missing if name.removesuffix("_total") not in families} == set()
    assert [fault for selector in read for fault in _label_faults(selector, series)] == []
    assert str(USER) not in page
    assert not any(key_of(provider, 1) in page for provider in ("openai", "stability", "minimax"))


def _label_faults(selector: Selector, series: Shown) -> Iterator[str]:
    """Yield the labels that a metric has not, and the values that never occurred although all must."""
    labels = series.get(selector.metric)
    if labels is None:
        return
    for name, value in selector.labels:
        if name == "job":
            continue  # Prometheus adds it
        if name not in labels:
            yield f"{selector.metric} has no label {name}"
        elif value is not None and value not in labels[name]:
            yield f"{selector.metric} never had {name}={value}"


def test_the_reader_of_promql() -> None:
    """It sees bare names, names with matchers and names inside functions; not functions, groupings or words."""
    text = 'sum by (le, home) (rate(a_total{x="1",y=~"b c"}[5m])) / on (z) max(b:c) > 2 and d unless time() - e'
    found = {Selector("a_total", (("x", "1"), ("y", None))), Selector("b:c"), Selector("d"), Selector("e")}
    assert selectors(text) == found


def test_every_alert_says_what_to_do() -> None:
    """A summary, what it means, what to do, and how urgent it is; names are unique."""
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names)) >= 20
    for alert in alerts():
        assert set(alert["annotations"]) == {"summary", "description", "action"}, alert["alert"]
        assert all(len(text) > 20 for text in alert["annotations"].values()), alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info")


def test_every_alert_is_described() -> None:
    """docs/metrics.md names each alert."""
    page = METRICS_PAGE.read_text()
    assert [alert["alert"] for alert in alerts() if f"`{alert['alert']}`" not in page] == []


async def test_every_metric_is_described(tmp_path: Path) -> None:
    """docs/metrics.md has a row for each metric that an instance shows, and for no other."""
    async with system(tmp_path) as one:
        families = [f for f in text_string_to_metric_families(await scraped(one)) if f.name.startswith("quartet_")]
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    described = set(re.findall(r"^\| `(quartet_\w+)`", METRICS_PAGE.read_text(), re.MULTILINE))
    assert described == names


def test_the_dashboard_can_be_provisioned() -> None:
    """Grafana's current schema, unique panel ids, no overlap, a description and a data source variable everywhere."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] == "quartet" and dashboard["schemaVersion"] >= 39 and "id" not in dashboard
    assert {v["name"] for v in dashboard["templating"]["list"]} == {"datasource", "instance"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert len(panel["description"]) > 5 and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_what_grafana_provisions_is_there() -> None:
    """The data source and the folder of dashboards are where docker-compose.yml mounts them."""
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "quartet.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert any(v.endswith(f":{provider['options']['path']}:ro") for v in compose["grafana"]["volumes"])
    (job,) = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    (listed,) = [path for files in job["file_sd_configs"] for path in files["files"]]
    (targets,) = [group for file in PROMETHEUS.glob(listed) for group in yaml.safe_load(file.read_text())]
    assert targets["targets"] == [f"{name}:8000" for name in compose if name.startswith("instance-")]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_takes_it(tmp_path: Path) -> None:
    """Prometheus's own checker accepts the configuration, the rules, and every panel's expression."""
    panel_rules = tmp_path / "panels.yml"
    checked = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(expressions())]
    panel_rules.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": checked}]}))
    for arguments in (["config", str(PROMETHEUS / "prometheus.yml")], ["rules", str(panel_rules)]):
        done = subprocess.run(["promtool", "check", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
