"""The rules for Prometheus in the docs: promtool takes them, and they fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.availability import unavailable

PAGE = Path(__file__).parents[2] / "docs" / "subscribers.md"
RULES = re.compile(r"```yaml\n(groups:\n.*?)```", re.DOTALL)
TARGET = 'job="netmap", instance="a:9641"'
FRESH = f'netmap_state{{{TARGET}, netmap_state="fresh"}}'
UP = f"up{{{TARGET}}}"


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        unavailable("checking rules for Prometheus needs promtool")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("series", "instance"),
    [
        pytest.param({UP: "1x20", FRESH: "1x20"}, None, id="fresh"),
        pytest.param({UP: "1x20", FRESH: "1x5 0 1x20"}, None, id="stale for a minute"),
        pytest.param({UP: "1x20", FRESH: "1x5 0x20"}, "a:9641", id="stale"),
        pytest.param({UP: "1x5 0x20", FRESH: "1x5 stale"}, "a:9641", id="the endpoint is gone"),
        pytest.param({UP: "1x5 stale", FRESH: "1x5 stale"}, "", id="nobody looks any more"),
        pytest.param({}, "", id="nobody ever looked"),
    ],
)
def test_the_alert_tells_of_a_netmap_that_is_not_known_to_be_fresh(
    tmp_path: Path, series: dict[str, str], instance: str | None
) -> None:
    (rules,) = RULES.findall(PAGE.read_text())
    (tmp_path / "rules.yml").write_text(rules)
    assert promtool("check", "rules", str(tmp_path / "rules.yml")).returncode == 0
    labels = {"alertname": "NetmapNotFresh", "job": "netmap"} | ({"instance": instance} if instance else {})
    expected: list[dict[str, Any]] = [] if instance is None else [{"exp_labels": labels}]
    trial = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [
                    {"eval_time": "18m", "alertname": "NetmapNotFresh", "exp_alerts": expected}
                ],
            }
        ],
    }
    # JSON is YAML.
    (tmp_path / "trial.yml").write_text(json.dumps(trial))
    done = promtool("test", "rules", str(tmp_path / "trial.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
