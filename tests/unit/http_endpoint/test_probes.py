"""/livez and /readyz, as a Kubernetes probe asks."""

from __future__ import annotations

import pytest

from netmap_actors.http_endpoint import pages
from tests.support.netmaps.shown_netmap import snapshot

READY = "[+]ping ok\n[+]netmap ok\n[+]fresh ok\nreadyz check passed\n"
STALE = "[+]ping ok\n[+]netmap ok\n[-]fresh failed: it is stale\nreadyz check failed\n"
NONE = "[+]ping ok\n[-]netmap failed: none has come\n[-]fresh failed: it is none\nreadyz check failed\n"


@pytest.mark.parametrize(
    ("path", "query", "state", "status", "text"),
    [
        ("/livez", "", "none", 200, "ok\n"),
        ("/livez", "", "stale", 200, "ok\n"),
        ("/livez", "verbose", "none", 200, "[+]ping ok\nlivez check passed\n"),
        ("/readyz", "", "fresh", 200, "ok\n"),
        ("/readyz", "verbose", "fresh", 200, READY),
        ("/readyz", "verbose=true", "fresh", 200, READY),
        ("/readyz", "", "stale", 503, STALE),
        ("/readyz", "", "none", 503, NONE),
        ("/readyz", "exclude=fresh", "stale", 200, "ok\n"),
        (
            "/readyz",
            "exclude=fresh",
            "none",
            503,
            NONE.replace("fresh failed: it is none", "fresh excluded: ok").replace("[-]fresh", "[+]fresh"),
        ),
        ("/readyz", "exclude=fresh&exclude=netmap", "none", 200, "ok\n"),
        ("/readyz", "verbose&exclude=fresh", "fresh", 200, READY.replace("fresh ok", "fresh excluded: ok")),
    ],
)
def test_a_probe_is_answered(path: str, query: str, state: str, status: int, text: str) -> None:
    page = pages.other(path, snapshot(state=state), pages.Query(query))
    assert (page.status, page.content_type, page.body.decode()) == (status, pages.TEXT, text)


@pytest.mark.parametrize(
    ("path", "query", "why"),
    [
        ("/livez", "exclude=ping", "known here is verbose"),
        ("/readyz", "exclude=etcd", "the checks are ping, netmap, fresh"),
        ("/readyz", "exclude", "cannot use exclude without a value"),
        ("/readyz", "peer=x", "known here is verbose, exclude"),
        ("/openapi.json", "x", "known here is none"),
    ],
)
def test_what_a_probe_cannot_ask_is_refused(path: str, query: str, why: str) -> None:
    with pytest.raises(pages.BadQuery, match=why):
        pages.other(path, snapshot(), pages.Query(query))


def test_who_asks_for_nothing_that_is_there_is_told_what_is() -> None:
    page = pages.other("/nothing", snapshot(), pages.Query(""))
    lines = page.body.decode().splitlines()[1:]
    assert (page.status, [line.split()[0] for line in lines]) == (404, list(pages.PATHS))


@pytest.mark.parametrize(
    ("text", "value"),
    [("verbose", ""), ("verbose=", ""), ("verbose=1", "1"), ("verbose=1&&", "1"), ("&verbose", "")],
)
def test_a_name_may_stand_without_a_value(text: str, value: str) -> None:
    assert pages.Query(text).only("verbose").all("verbose") == [value]
