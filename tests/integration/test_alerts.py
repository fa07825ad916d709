"""When alerts fire, and when they don't, judged by Prometheus's own `promtool test rules`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
STEP = "15s"

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: prometheus)")

Series = dict[str, str]

_ACKS = 'quartet_ack_seconds_bucket{{le="{le}"}}'
_ENDED = 'quartet_jobs_finished_total{{outcome="{outcome}"}}'
_STATE = 'quartet_key_state{{instance_id="{k}", provider="openai", state="dead"}}'

CASES: list[tuple[str, str, Series, str, list[dict[str, str]]]] = [
    ("a peer is dead for all that live", "QuartetInstanceDown",
     {'quartet_instance_alive{instance_id="1", peer="1"}': "1x20",
      'quartet_instance_alive{instance_id="1", peer="2"}': "1x4 0x16",
      'quartet_instance_alive{instance_id="2", peer="2"}': "1x4 stale"}, "3m", [{"peer": "2"}]),
    ("one that is cut off takes all for dead", "QuartetInstanceDown",
     {'quartet_instance_alive{instance_id="1", peer="2"}': "1x20",
      'quartet_instance_alive{instance_id="2", peer="2"}': "0x20"}, "3m", []),
    ("nobody can be scraped", "QuartetNothingAnswers",
     {'up{job="quartet", instance="a"}': "0x20"}, "3m", [{}]),
    ("one of two can be scraped", "QuartetNothingAnswers",
     {'up{job="quartet", instance="a"}': "0x20", 'up{job="quartet", instance="b"}': "1x20"}, "3m", []),
    ("2 % of the acks take 2 s", "QuartetAckSlow",
     {_ACKS.format(le="1"): "0+98x60", _ACKS.format(le="2"): "0+100x60", _ACKS.format(le="+Inf"): "0+100x60"},
     "10m", [{}]),
    ("all acks are quick", "QuartetAckSlow",
     {_ACKS.format(le="0.1"): "0+100x60", _ACKS.format(le="1"): "0+100x60", _ACKS.format(le="+Inf"): "0+100x60"},
     "10m", []),
    ("one key is dead", "QuartetKeyDead",
     {_STATE.format(k=1): "0x40", _STATE.format(k=2): "0x4 1x36"}, "5m",
     [{"instance_id": "2", "provider": "openai", "state": "dead"}]),
    ("each key rests", "QuartetNoKeyUsable",
     {'quartet_key_rest_seconds{instance_id="1", provider="openai"}': "20x40",
      'quartet_key_rest_seconds{instance_id="2", provider="openai"}': "5x40"}, "5m", [{"provider": "openai"}]),
    ("one key can be used", "QuartetNoKeyUsable",
     {'quartet_key_rest_seconds{instance_id="1", provider="openai"}': "20x40",
      'quartet_key_rest_seconds{instance_id="2", provider="openai"}': "0x40"}, "5m", []),
    ("a tenth of the day's calls is not left", "QuartetDayNearlySpent",
     {'quartet_key_calls_left{instance_id="1", provider="minimax", window="day"}': "0x40",
      'quartet_key_calls_left{instance_id="2", provider="minimax", window="day"}': "19x40",
      'quartet_key_calls_limit{instance_id="1", provider="minimax", window="day"}': "100x40",
      'quartet_key_calls_limit{instance_id="2", provider="minimax", window="day"}': "100x40"},
     "5m", [{"provider": "minimax"}]),
    ("one store error, the first ever", "QuartetStoreErrors",
     {'quartet_store_errors_total{instance_id="1", operation="jobs.put"}': "0x8 1x40"}, "2m45s",
     [{"instance_id": "1"}]),
    ("two answers of many thousands are lost", "QuartetUndelivered",
     {'quartet_jobs_undelivered_total{kind="chat"}': "0x20 2x80", _ENDED.format(outcome="answered"): "0+50x100"},
     "15m", []),
    ("a third of the answers is lost", "QuartetUndelivered",
     {'quartet_jobs_undelivered_total{kind="chat"}': "0+1x100", _ENDED.format(outcome="answered"): "0+2x100",
      _ENDED.format(outcome="undeliverable"): "0+1x100"}, "15m", [{}]),
    ("the queue grows", "QuartetQueueGrowing",
     {'quartet_queue_jobs{instance_id="1", home="1", state="waiting"}': "0+5x100",
      'quartet_queue_jobs{instance_id="2", home="1", state="waiting"}': "0+5x100"}, "20m", [{}]),
    ("the queue is long and shrinks", "QuartetQueueGrowing",
     {'quartet_queue_jobs{instance_id="1", home="1", state="waiting"}': "900-5x100"}, "20m", []),
    ("half of the invalid responses that are allowed", "QuartetDiscordRefuses",
     {'quartet_discord_invalid_responses{instance_id="1", what="seen"}': "13x20",
      'quartet_discord_invalid_responses{instance_id="1", what="limit"}': "25x20"}, "3m",
     [{"instance_id": "1"}]),
    ("a disk that fills within the day", "QuartetDiskFilling",
     {"quartet_disk_free_bytes": "2000-1x1600", "quartet_disk_size_bytes": "10000x1600"}, "6h30m", [{}]),
    ("a disk with room", "QuartetDiskFilling",
     {"quartet_disk_free_bytes": "2000x1600", "quartet_disk_size_bytes": "10000x1600"}, "6h30m", []),
]  # fmt: skip


def _without_annotations() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the rules for a test, and each alert's severity: what an alert says is not repeated in every case."""
    rules = yaml.safe_load(RULES.read_text())
    severities = {}
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
            severities[rule.get("alert", "")] = rule.get("labels", {}).get("severity", "")
    return rules, severities


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Each case fires for just these labels, or for none."""
    rules, severities = _without_annotations()
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    tests = []
    for name, alert, series, at, fired in CASES:
        expected = [{"exp_labels": {**labels, "severity": severities[alert]}} for labels in fired]
        tests.append({
            "name": name, "interval": STEP,
            "input_series": [{"series": metric, "values": values} for metric, values in series.items()],
            "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}],
        })  # fmt: skip
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": STEP, "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
