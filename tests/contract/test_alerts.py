"""The rules for Prometheus in deploy/: promtool takes them, they fire when they should, and at no other time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from netmap_actors.http_endpoint import metrics, peer_metrics
from netmap_actors.slices import complete
from tests.support.availability import unavailable
from tests.unit.exports.test_exports import netmap_of

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
ALERTS = dict(re.findall(r"- alert: (\w+)\n(.*?)(?=\n\n|\Z)", RULES.read_text(), re.DOTALL))
"""The text of each rule by its name."""
MAY_HIDE = {
    "NetmapConnectionFlapping",
    "NetmapProcessRestarting",
    "NetmapPeersNotScraped",
    "NetmapSupervisorNotAnswering",
    "NetmapUnitNotActive",
    "NetmapWebhookGaveUp",
}
"""What need not be told while the endpoint is gone, which is told."""

DAY = 86_400
LONG = 200
"""Minutes a trial lasts."""
HERE = {"job": "netmap", "instance": "a:9641"}
NODE = HERE | {"stable_id": "n1", "name": "web-1.tail.example"}
OTHER = HERE | {"stable_id": "n2", "name": "laptop.tail.example"}
KNOWN = {"tailnet": "default", "os": "linux", "user": "ann@example.com"}
UNIT = {"job": "node", "instance": "a:9100", "name": "netmap-supervisor-export@hosts.service"}


def series(metric: str, /, **labels: str) -> str:
    return metric + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def state(name: str) -> str:
    return series("netmap_state", **HERE, netmap_state=name)


def connection(name: str) -> str:
    return series("netmap_connection_state", **HERE, netmap_connection_state=name)


UP = series("up", **HERE)
SUPERVISOR_UP = series("netmap_supervisor_up", **HERE)
UPTIME = series("netmap_supervisor_uptime_seconds", **HERE)
SESSIONS = series("netmap_map_sessions_total", **HERE)
HOOK = {"tailnet": "default", "webhook": "oncall"}
GIVEN_UP = series("netmap_webhook_given_up_total", **HERE, **HOOK)
LOST = series("netmap_webhook_lost_total", **HERE, **HOOK)
RESTARTS = {
    name: series("netmap_actor_restarts_total", **HERE, actor=name)
    for name in ("publisher", "control_connection")
}
DEGRADED = series("netmap_degraded", **HERE, code="clock_skew")
OWN_EXPIRY = series("netmap_node_key_expiry_timestamp_seconds", **HERE)
ONLINE, OTHER_ONLINE = (series("netmap_peer_online", **one) for one in (NODE, OTHER))
EXPIRY = series("netmap_peer_key_expiry_timestamp_seconds", **NODE, tailnet="default")
INFO = series("netmap_peer_info", **NODE, **KNOWN, tags=",tag:web,")
OTHER_INFO = series("netmap_peer_info", **OTHER, **KNOWN, tags="")
ACTIVE = series("node_systemd_unit_state", **UNIT, state="active")
ALWAYS, NEVER = f"1x{LONG}", f"0x{LONG}"
HEALTHY = {
    UP: ALWAYS, state("fresh"): ALWAYS, state("stale"): NEVER, state("none"): NEVER, SUPERVISOR_UP: ALWAYS,
    connection("map_session"): ALWAYS, connection("login_needed"): NEVER, connection("awaiting_approval"): NEVER,
    UPTIME: f"0+60x{LONG}", SESSIONS: ALWAYS, **dict.fromkeys(RESTARTS.values(), NEVER),
    OWN_EXPIRY: f"{100 * DAY}x{LONG}", series("netmap_peers", **HERE, online="true"): ALWAYS,
    series("netmap_peers", **HERE, online="false"): NEVER, ONLINE: ALWAYS, OTHER_ONLINE: NEVER,
    EXPIRY: f"{100 * DAY}x{LONG}", INFO: ALWAYS, OTHER_INFO: ALWAYS, ACTIVE: ALWAYS,
}  # fmt: skip
"""What Prometheus holds while all is well, one sample a minute."""
OF_SUPERVISOR = [
    name
    for name in HEALTHY
    if name.startswith(("netmap_connection", "netmap_map", "netmap_actor", "netmap_supervisor_uptime"))
]
GONE = ("NetmapEndpointGone", HERE), ("NetmapNotFresh", HERE)
NO_TARGET = ("NetmapEndpointGone", {"job": "netmap"}), ("NetmapNotFresh", {"job": "netmap"})
LOGIN = {connection("login_needed"): ALWAYS, connection("map_session"): NEVER, state("fresh"): NEVER}
OFFLINE = "NetmapNodeOffline", NODE | KNOWN | {"tags": ",tag:web,"}
EXPIRING = "NetmapPeerKeyExpiring", OFFLINE[1]
CLOCK = "NetmapDegraded", HERE | {"code": "clock_skew"}


def gone(since: int, *, target: str = "0", back: int = LONG, **changed: str) -> dict[str, str]:
    """All series end at this minute, but for `up`, and come back as they were."""
    held = HEALTHY | changed
    found = {
        name: f"{values.partition('x')[0]}x{since - 1} _x{back - since - 1} {values.partition('x')[0]}x{LONG - back}"
        for name, values in held.items()
        if not name.startswith(("up{", "node_", "netmap_supervisor_uptime"))
    }
    return held | found | {UP: f"1x{since - 1} {target}x{back - since - 1} 1x{LONG - back}"}


class Case(NamedTuple):
    told: str
    minute: int
    series: dict[str, str]
    firing: tuple[tuple[str, dict[str, str]], ...]
    """Every other alert is silent."""


def well_but(**changed: str) -> dict[str, str]:
    return HEALTHY | changed


SECOND = HERE | {"instance": "b:9641"}
ANOTHER = {series("up", **SECOND): ALWAYS, series("netmap_state", **SECOND, netmap_state="fresh"): ALWAYS}
CASES = (
    Case("all is well", 190, HEALTHY, ()),
    Case("no target was ever there", 10, {}, NO_TARGET),
    Case("the endpoint does not answer", 70, gone(60), GONE),
    Case("the endpoint did not answer for three minutes", 64, gone(60, back=63), ()),
    Case("the endpoint answers again", 90, gone(60, back=80), ()),
    Case(
        "the only target is gone",
        70,
        gone(60, target="_"),
        (*GONE, *NO_TARGET),
    ),
    Case(
        "one of two targets is gone",
        70,
        gone(60, target="_") | ANOTHER,
        GONE,
    ),
    Case(
        "one of two targets was taken out long ago",
        190,
        gone(60, target="_") | ANOTHER,
        (),
    ),
    Case(
        "stale",
        70,
        well_but(**{state("fresh"): f"1x59 0x{LONG}", state("stale"): f"0x59 1x{LONG}"}),
        (GONE[1],),
    ),
    Case("stale for two minutes", 64, well_but(**{state("fresh"): f"1x59 0 0 1x{LONG}"}), ()),
    Case("no netmap ever", 10, well_but(**{state("fresh"): NEVER, state("none"): ALWAYS}), (GONE[1],)),
    Case(
        "the Supervisor does not answer",
        70,
        well_but(
            **{SUPERVISOR_UP: f"1x59 0x{LONG}"},
            **{name: f"{HEALTHY[name].partition('x')[0]}x59" for name in OF_SUPERVISOR},
        ),
        (("NetmapSupervisorNotAnswering", HERE),),
    ),
    Case("login needed", 20, well_but(**LOGIN), (GONE[1], ("NetmapLoginNeeded", HERE))),
    Case(
        "approval needed",
        20,
        well_but(**{connection("awaiting_approval"): ALWAYS, connection("map_session"): NEVER}),
        (("NetmapLoginNeeded", HERE),),
    ),
    Case(
        "login needed, then the endpoint is gone", 70, gone(60, **LOGIN), (*GONE, ("NetmapLoginNeeded", HERE))
    ),
    Case("logged in", 20, well_but(**{connection("login_needed"): f"1x9 0x{LONG}"}), ()),
    Case(
        "the connection comes up every five minutes",
        90,
        well_but(**{SESSIONS: "1x59 " + " ".join(f"{n}x4" for n in range(2, 30))}),
        (("NetmapConnectionFlapping", HERE),),
    ),
    Case("the connection came up four times", 90, well_but(**{SESSIONS: "1x59 2x4 3x4 4x4 5x100"}), ()),
    Case(
        "the publisher is replaced again and again",
        90,
        well_but(**{RESTARTS["publisher"]: "0x59 1x4 2x4 3x4 4x100"}),
        (("NetmapProcessRestarting", HERE | {"actor": "publisher"}),),
    ),
    Case("the publisher was replaced once", 90, well_but(**{RESTARTS["publisher"]: "0x59 1x100"}), ()),
    Case(
        "connections are replaced, which is their end",
        90,
        well_but(**{RESTARTS["control_connection"]: "0x59 0+1x100"}),
        (),
    ),
    Case(
        "the daemon starts again and again",
        90,
        well_but(**{UPTIME: "0+60x59 " + "0+60x3 " * 10}),
        (("NetmapProcessRestarting", HERE | {"actor": "supervisor"}),),
    ),
    Case(
        "a webhook gives up some of its events",
        90,
        well_but(**{GIVEN_UP: "0x59 3x200", LOST: "0x200"}),
        (("NetmapWebhookGaveUp", HERE | HOOK),),
    ),
    Case("a webhook gave up events yesterday", 190, well_but(**{GIVEN_UP: "0x9 3x200", LOST: "0x200"}), ()),
    Case("a condition", 30, well_but(**{DEGRADED: ALWAYS}), (CLOCK,)),
    Case("a condition, and it is over", 90, well_but(**{DEGRADED: "1x59 stale"}), ()),
    Case("a condition of ten minutes", 30, well_but(**{DEGRADED: "1x9 stale"}), ()),
    Case("a condition, then the endpoint is gone", 90, gone(60, **{DEGRADED: ALWAYS}), (*GONE, CLOCK)),
    Case(
        "a condition, then the Supervisor does not answer",
        90,
        well_but(**{DEGRADED: "1x59 stale", SUPERVISOR_UP: f"1x59 0x{LONG}"}),
        (CLOCK, ("NetmapSupervisorNotAnswering", HERE)),
    ),
    Case(
        "our key expires", 30, well_but(**{OWN_EXPIRY: f"{6 * DAY}x{LONG}"}), (("NetmapKeyExpiring", HERE),)
    ),
    Case("our key has expired", 190, well_but(**{OWN_EXPIRY: f"0x{LONG}"}), (("NetmapKeyExpiring", HERE),)),
    Case("our key was renewed", 90, well_but(**{OWN_EXPIRY: f"{6 * DAY}x59 {90 * DAY}x{LONG}"}), ()),
    Case(
        "our key never expires",
        30,
        {name: values for name, values in HEALTHY.items() if name != OWN_EXPIRY},
        (),
    ),
    Case(
        "our key expires, and the endpoint is gone",
        90,
        gone(60, **{OWN_EXPIRY: f"{6 * DAY}x{LONG}"}),
        (*GONE, ("NetmapKeyExpiring", HERE)),
    ),
    Case("a node of a tag is offline", 30, well_but(**{ONLINE: NEVER}), (OFFLINE,)),
    Case("a node of a tag was offline for ten minutes", 30, well_but(**{ONLINE: f"1x9 0x9 1x{LONG}"}), ()),
    Case(
        "a node of a tag is offline, and the endpoint is gone",
        90,
        gone(60, **{ONLINE: NEVER}),
        (*GONE, OFFLINE),
    ),
    Case(
        "a node of a tag is offline, and the only target is gone",
        90,
        gone(60, target="_", **{ONLINE: NEVER}),
        (*GONE, *NO_TARGET, OFFLINE),
    ),
    Case(
        "a node of a tag is offline, and the daemon is back without a netmap",
        90,
        well_but(
            **{
                ONLINE: "0x59 stale",
                INFO: "1x59 stale",
                OTHER_INFO: "1x59 stale",
                state("fresh"): f"1x59 0x{LONG}",
            }
        )
        | {series("netmap_peers", **HERE, online="true"): f"1x59 0x{LONG}"},
        (GONE[1], OFFLINE),
    ),
    Case(
        "a node of a tag was offline, and was removed",
        90,
        well_but(**{ONLINE: "0x59 stale", INFO: "1x59 stale"}),
        (),
    ),
    Case(
        "a node of a tag came back while the endpoint was gone",
        90,
        gone(60, back=80, **{ONLINE: NEVER}) | {ONLINE: f"0x59 _x19 1x{LONG}"},
        (),
    ),
    Case("the key of a peer expires", 30, well_but(**{EXPIRY: f"{6 * DAY}x{LONG}"}), (EXPIRING,)),
    Case(
        "the key of a peer expired a while ago", 190, well_but(**{EXPIRY: f"{-6 * DAY}x{LONG}"}), (EXPIRING,)
    ),
    Case("the key of a peer expired long ago", 190, well_but(**{EXPIRY: f"{-8 * DAY}x{LONG}"}), ()),
    Case(
        "the key of a peer expires, and the endpoint is gone",
        90,
        gone(60, **{EXPIRY: f"{6 * DAY}x{LONG}"}),
        (*GONE, EXPIRING),
    ),
    Case(
        "peers are not asked for",
        60,
        {name: values for name, values in HEALTHY.items() if not name.startswith("netmap_peer_")},
        (("NetmapPeersNotScraped", HERE),),
    ),
    Case(
        "a unit has failed",
        70,
        well_but(**{ACTIVE: f"1x59 0x{LONG}"}),
        (("NetmapUnitNotActive", UNIT | {"state": "active"}),),
    ),
)


def promtool(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        unavailable("checking rules for Prometheus needs promtool")
    return subprocess.run(
        [program, *words], input=text, capture_output=True, text=True, timeout=60, check=False
    )


def annotations(alert: str, labels: dict[str, str]) -> dict[str, str]:
    """What the annotations of this alert become."""
    texts: list[tuple[str, str]] = re.findall(r'^ +(\w+): "(.*)"$', ALERTS[alert], re.MULTILINE)
    return {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda at: labels.get(at[1], ""), text)
        for name, text in texts
    }


def expected(alert: str, firing: tuple[tuple[str, dict[str, str]], ...]) -> list[dict[str, object]]:
    severity = re.findall(r"severity: (\w+)", ALERTS[alert])[0]
    return [
        {"exp_labels": labels | {"severity": severity}, "exp_annotations": annotations(alert, labels)}
        for name, labels in firing
        if name == alert
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.told)
def test_an_alert_fires_when_it_should_and_no_other_does(tmp_path: Path, case: Case) -> None:
    checks = [
        {"eval_time": f"{case.minute}m", "alertname": name, "exp_alerts": expected(name, case.firing)}
        for name in ALERTS
    ]
    trial = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "alert_rule_test": checks,
            }
        ],
    }
    # JSON is YAML.
    (tmp_path / "trial.yml").write_text(json.dumps(trial))
    done = promtool("test", "rules", str(tmp_path / "trial.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_every_alert_is_seen_to_fire_and_is_told_or_held_when_the_endpoint_is_gone() -> None:
    assert {name for case in CASES for name, _ in case.firing} == ALERTS.keys()
    unheard = {name for case in CASES if "gone" in case.told for name, _ in case.firing}
    assert ALERTS.keys() - unheard == MAY_HIDE


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(alert: str) -> None:
    assert re.findall(r"severity: (\w+)", ALERTS[alert])[0] in {"critical", "warning"}
    assert annotations(alert, {}).keys() == {"summary", "action"}
    # Held alerts have another value than those that fire by themselves.
    assert "$value" not in ALERTS[alert]


def shown(module: ModuleType) -> set[str]:
    """The metrics that a module makes; of those Prometheus renames, both names."""
    found: set[str] = set(re.findall(r'"(netmap_[a-z_]+)"', Path(str(module.__file__)).read_text()))
    return found | {name + ending for name in found for ending in ("_total", "_info")}


def test_every_metric_that_an_alert_looks_at_is_one_of_the_page() -> None:
    # A name that is a label, too, stands in braces and before "=".
    used = set(
        re.findall(
            r"\b(netmap_[a-z_]+)\b(?!=)",
            "\n".join(re.findall(r"expr: (.*?)\n {8}\w", RULES.read_text(), re.DOTALL)),
        )
    )
    assert used - {"netmap_connection_state"} <= shown(metrics) | shown(peer_metrics)


def test_promtool_finds_nothing_to_complain_of_in_what_is_told_of_peers() -> None:
    peer = {"online": True, "last_seen": "2026-01-02T03:04:05Z", "key_expiry": "2027-01-02T03:04:05Z"}
    netmap = netmap_of(peer | {"name": 'a "name"', "tags": ["tag:web"], "user_id": 7})
    done = promtool("check", "metrics", text=complete(peer_metrics.families(netmap, frozenset())))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_page_has_each_alert_with_its_severity() -> None:
    told = re.findall(
        r"^\| `(Netmap\w+)` \| (\w+) \|",
        (ROOT / "docs" / "howto" / "prometheus.md").read_text(),
        re.MULTILINE,
    )
    assert dict(told) == {name: re.findall(r"severity: (\w+)", text)[0] for name, text in ALERTS.items()}
