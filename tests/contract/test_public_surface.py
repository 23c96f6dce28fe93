"""The public surface is what was recorded, but for the changes named here."""

from __future__ import annotations

import json

import pytest

from tests.contract.public_surface import RECORD, surface

INTENDED: set[tuple[str, str]] = {
    ("", "Happening(value, names=, module=, qualname=, type=, start=, boundary=)"),
    ("", "Happening.ACTOR_EXITED"),
    ("", "Happening.ACTOR_STARTED"),
    ("", "Happening.DEGRADED"),
    ("", "Happening.GAP"),
    ("", "Happening.HEALED"),
    ("", "Happening.LINK_CHANGED"),
    ("", "Happening.LOGIN_NEEDED"),
    ("", "Happening.NETMAP_FRESH"),
    ("", "Happening.NETMAP_STALE"),
    ("", "Happening.NODE_JOINED"),
    ("", "Happening.NODE_KEY_CHANGED"),
    ("", "Happening.NODE_KEY_EXPIRED"),
    ("", "Happening.NODE_KEY_EXPIRING"),
    ("", "Happening.NODE_LEFT"),
    ("", "Happening.NODE_MOVED"),
    ("", "Happening.NODE_OFFLINE"),
    ("", "Happening.NODE_ONLINE"),
    ("", "Happening.NODE_REMOVED"),
    ("", "Happening.NODE_RENAMED"),
    ("", "Happening.NODE_ROUTED"),
    ("", "Happening.NODE_TAGGED"),
    ("", "Happening.RUN_STARTED"),
    ("", "Happening.RUN_STOPPED"),
    ("", "Happening.SESSION_ENDED"),
    ("", "Happening.SESSION_STARTED"),
    ("", "Happening.SILENCE"),
    ("", "Happening.WAKE"),
    ("", "Happening.capitalize(self)"),
    ("", "Happening.casefold(self)"),
    ("", "Happening.center(self, width, fillchar=)"),
    ("", "Happening.count()"),
    ("", "Happening.encode(self, encoding=, errors=)"),
    ("", "Happening.endswith()"),
    ("", "Happening.expandtabs(self, tabsize=)"),
    ("", "Happening.find()"),
    ("", "Happening.format()"),
    ("", "Happening.format_map()"),
    ("", "Happening.index()"),
    ("", "Happening.isalnum(self)"),
    ("", "Happening.isalpha(self)"),
    ("", "Happening.isascii(self)"),
    ("", "Happening.isdecimal(self)"),
    ("", "Happening.isdigit(self)"),
    ("", "Happening.isidentifier(self)"),
    ("", "Happening.islower(self)"),
    ("", "Happening.isnumeric(self)"),
    ("", "Happening.isprintable(self)"),
    ("", "Happening.isspace(self)"),
    ("", "Happening.istitle(self)"),
    ("", "Happening.isupper(self)"),
    ("", "Happening.join(self, iterable)"),
    ("", "Happening.ljust(self, width, fillchar=)"),
    ("", "Happening.lower(self)"),
    ("", "Happening.lstrip(self, chars=)"),
    ("", "Happening.maketrans()"),
    ("", "Happening.partition(self, sep)"),
    ("", "Happening.removeprefix(self, prefix)"),
    ("", "Happening.removesuffix(self, suffix)"),
    ("", "Happening.replace(self, old, new, count=)"),
    ("", "Happening.rfind()"),
    ("", "Happening.rindex()"),
    ("", "Happening.rjust(self, width, fillchar=)"),
    ("", "Happening.rpartition(self, sep)"),
    ("", "Happening.rsplit(self, sep=, maxsplit=)"),
    ("", "Happening.rstrip(self, chars=)"),
    ("", "Happening.split(self, sep=, maxsplit=)"),
    ("", "Happening.splitlines(self, keepends=)"),
    ("", "Happening.startswith()"),
    ("", "Happening.strip(self, chars=)"),
    ("", "Happening.swapcase(self)"),
    ("", "Happening.title(self)"),
    ("", "Happening.translate(self, table)"),
    ("", "Happening.upper(self)"),
    ("", "Happening.zfill(self, width)"),
    ("", "NoHistory()"),
    ("", "NoHistory.disposition"),
    ("", "history.keep --history-keep NETMAP_SUPERVISOR_HISTORY_KEEP DURATION|off = 7d"),
    ("", "history.kinds"),
    ("", "history.peers"),
    ("", "history.return"),
    ("", "history.runtime_dir"),
    ("", "history.since"),
    ("", "history.size --history-size NETMAP_SUPERVISOR_HISTORY_SIZE SIZE = 64MiB"),
    ("", "history.until"),
    ("", "history_broken"),
    ("", "history_not_written"),
    ("", "netmap-supervisor config show --history-keep"),
    ("", "netmap-supervisor config show --history-size"),
    ("", "netmap-supervisor config show --nursery"),
    ("", "netmap-supervisor export --host"),
    ("", "netmap-supervisor export --list"),
    ("", "netmap-supervisor export --ns"),
    ("", "netmap-supervisor export --origin"),
    ("", "netmap-supervisor export --reverse"),
    ("", "netmap-supervisor export template"),
    ("", "netmap-supervisor history"),
    ("", "netmap-supervisor history --config"),
    ("", "netmap-supervisor history --json"),
    ("", "netmap-supervisor history --kind"),
    ("", "netmap-supervisor history --peer"),
    ("", "netmap-supervisor history --runtime-dir"),
    ("", "netmap-supervisor history --since"),
    ("", "netmap-supervisor history --state-dir"),
    ("", "netmap-supervisor history --until"),
    ("", "netmap-supervisor run --history-keep"),
    ("", "netmap-supervisor run --history-size"),
    ("", "netmap-supervisor run --nursery"),
    ("", "netmap-supervisor schema"),
    ("", "netmap-supervisor schema name"),
    ("", "netmap_history_bytes"),
    ("", "netmap_peer_info"),
    ("", "netmap_peer_key_expiry_timestamp_seconds"),
    ("", "netmap_supervisor.Happening"),
    ("", "netmap_supervisor.NoHistory"),
    ("", "netmap_supervisor.history"),
    ("", "netmap_supervisor.internal.v1.Envelope.map_text_arrived = 27: netmap_supervisor.internal.v1.MapTextArrived"),
    ("", "netmap_supervisor.internal.v1.Envelope.occurred = 46: netmap_supervisor.internal.v1.Occurred"),
<<<<<<< HEAD
    (
        "",
        "netmap_supervisor.internal.v1.Envelope.occurrences_kept = 47: netmap_supervisor.internal.v1.OccurrencesKept",
    ),
=======
    ("", "netmap_supervisor.internal.v1.Envelope.occurrences_kept = 47: netmap_supervisor.internal.v1.OccurrencesKept"),
>>>>>>> 420d973 (Offer the history to programs beside the netmap)
    ("", "netmap_supervisor.internal.v1.MapResponseReceived.passed_on = 9: 4"),
    ("", "netmap_supervisor.internal.v1.MapTextArrived.generation = 1: 4"),
    ("", "netmap_supervisor.internal.v1.MapTextArrived.number = 3: 4"),
    ("", "netmap_supervisor.internal.v1.MapTextArrived.offset = 4: 4"),
    ("", "netmap_supervisor.internal.v1.MapTextArrived.session = 2: 4"),
    ("", "netmap_supervisor.internal.v1.Occurred.at = 1: 1"),
    ("", "netmap_supervisor.internal.v1.Occurred.event = 2: 9"),
    ("", "netmap_supervisor.internal.v1.Occurred.fields = 3: 12"),
    ("", "netmap_supervisor.internal.v1.Occurred.number = 4: 4"),
    ("", "netmap_supervisor.internal.v1.Occurred.opened = 5: 4"),
    ("", "netmap_supervisor.internal.v1.OccurrencesKept.number = 1: 4"),
    ("", "netmap_supervisor.internal.v1.OccurrencesKept.opened = 2: 4"),
    ("", "netmap_tailnet"),
    ("", "nursery_ended"),
    ("", "nursery_failed"),
    ("", "nursery_ready"),
    ("", "nursery_started"),
    ("", "processes.nursery --nursery NETMAP_SUPERVISOR_NURSERY all|not-connection|off = all"),
    ("", "status.nursery"),
    ("", "status.nursery.forked"),
    ("", "status.nursery.generation"),
    ("", "status.nursery.pid"),
    (
        "Subscriber(runtime_dir=, endpoint=, kinds=, curve=, clock=, context=)",
        "Subscriber(runtime_dir=, endpoint=, kinds=, curve=, check_interval=, clock=, context=)",
    ),
}
"""(as recorded, as it is now); "" for what is gone, or new."""
RECORDED: dict[str, list[str]] = json.loads(RECORD.read_text())


@pytest.fixture(scope="module")
def now() -> dict[str, list[str]]:
    return surface()


@pytest.mark.parametrize("part", RECORDED)
def test_only_intended_changes_are_made(part: str, now: dict[str, list[str]]) -> None:
    recorded, present = set(RECORDED[part]), set(now[part])
    assert recorded - present <= {old for old, _ in INTENDED}, "gone"
    assert present - recorded <= {new for _, new in INTENDED}, "new"


def test_every_intended_change_is_made(now: dict[str, list[str]]) -> None:
    recorded = {item for items in RECORDED.values() for item in items}
    present = {item for items in now.values() for item in items}
    assert {(old, new) for old, new in INTENDED if old in present - {""} or new in recorded - {""}} == set()
    assert {one for pair in INTENDED for one in pair} - {""} <= recorded ^ present
