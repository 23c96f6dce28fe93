"""`registration.registrar` and `registration.requests`: who may join, and how requests are decoded."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.registration.registrar import (
    MAX_PENDING,
    PENDING_LIFETIME,
    NodeRegistrar,
    PreAuthKey,
    RegisterAnswer,
    Wait,
)
from netmap_actors.dev_control.registration.requests import BadRequest, decode_map, decode_register
from netmap_actors.dev_control.tailnet.policy import Policy, parse_policy
from netmap_actors.dev_control.tailnet.tailnet import Tailnet

WALL = 1_800_000_000.0
URL = "http://192.0.2.1:8080"
MACHINE, OTHER_MACHINE = "mkey:" + "1" * 64, "mkey:" + "2" * 64


def node_key(number: int) -> str:
    return f"nodekey:{number:064x}"


class Office:
    """A registrar with a few auth keys."""

    def __init__(self, *, policy: Policy | None = None, **options: Any) -> None:
        numbers = itertools.count(1)
        self.tailnet = Tailnet(policy=policy)
        self.registrar = NodeRegistrar(
            self.tailnet, url=URL, random_hex=lambda n: f"{next(numbers):0{2 * n}x}", **options
        )
        for key in (
            PreAuthKey(text="reusable"),
            PreAuthKey(text="once", reusable=False),
            PreAuthKey(text="old", expires_at=WALL - 1),
            PreAuthKey(text="revoked", revoked=True),
            PreAuthKey(text="short-lived", ephemeral=True),
            PreAuthKey(text="tagged", tags=("tag:ci", "tag:web")),
        ):
            self.registrar.add_auth_key(key)

    def ask(
        self, number: int = 1, auth: str = "", machine: str = MACHINE, wall: float = WALL, **fields: Any
    ) -> Any:
        body: dict[str, Any] = {"Version": 130, "NodeKey": node_key(number), "Hostinfo": {"Hostname": "host"}}
        if auth:
            body["Auth"] = {"AuthKey": auth}
        request = decode_register(json.dumps({**body, **fields}).encode())
        outcome = self.registrar.register(request, machine, wall)
        return json.loads(outcome.json) if isinstance(outcome, RegisterAnswer) else outcome

    def node(self, number: int = 1) -> Any:
        entry = self.tailnet.by_key(node_key(number))
        return None if entry is None else entry.node


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize(
    ("auth", "fields", "error"),
    [
        ("nonsense", {}, "invalid pre auth key"),
        ("old", {}, "authkey expired"),
        ("revoked", {}, "authkey revoked"),
        (
            "reusable",
            {"Hostinfo": {"RequestTags": ["tag:x"]}},
            "requested tags [tag:x] are invalid or not permitted",
        ),
        (
            "tagged",
            {"Hostinfo": {"RequestTags": ["tag:x"]}},
            "requested tags [tag:x] are invalid or not permitted",
        ),
        ("", {"Followup": "http://elsewhere"}, "invalid registration ID"),
        ("", {"Followup": f"{URL}/auth/<b>"}, "invalid registration ID"),
    ],
)
def test_refusals_are_worded_as_headscale_words_them(
    office: Office, auth: str, fields: dict[str, Any], error: str
) -> None:
    assert office.ask(auth=auth, **fields)["Error"] == error
    assert len(office.tailnet) == 0


def test_a_reusable_key_admits_many_and_a_one_shot_key_one(office: Office) -> None:
    assert office.ask(1, "reusable")["MachineAuthorized"]
    assert office.ask(2, "reusable", OTHER_MACHINE)["MachineAuthorized"]
    assert office.ask(3, "once", "mkey:" + "3" * 64)["MachineAuthorized"]
    assert office.ask(4, "once", "mkey:" + "4" * 64)["Error"] == "authkey already used"
    assert office.ask(3, "once", "mkey:" + "3" * 64)["MachineAuthorized"], (
        "a restart with a spent key does no harm"
    )


def test_a_key_decides_over_tags_and_ephemerality(office: Office) -> None:
    office.ask(1, "tagged", Hostinfo={"RequestTags": ["tag:ci"]})
    assert office.node(1).tags == ("tag:ci", "tag:web")
    office.ask(2, "short-lived", OTHER_MACHINE)
    entry = office.tailnet.by_key(node_key(2))
    assert entry is not None
    assert entry.ephemeral


def test_advertised_routes_are_an_offer_until_somebody_approves_them(office: Office) -> None:
    office.ask(1, "reusable", Hostinfo={"RoutableIPs": ["10.0.0.0/8"]})
    node = office.node(1)
    assert node.primary_routes == ()
    assert node.allowed_ips == node.addresses
    assert b'"RoutableIPs":["10.0.0.0/8"]' in bytes(node.hostinfo), "the offer is told"


def test_a_machine_that_comes_back_with_a_new_key_is_the_same_node(office: Office) -> None:
    office.ask(1, "reusable")
    before = office.node(1)
    office.ask(2, "reusable", OldNodeKey=node_key(1))
    after = office.node(2)
    assert office.node(1) is None
    assert (after.id, after.addresses, after.name) == (before.id, before.addresses, before.name)


def test_a_node_key_of_another_machine_is_refused(office: Office) -> None:
    office.ask(1, "reusable")
    answer = office.ask(1, "reusable", OTHER_MACHINE)
    assert answer["Error"] == "node exists with a different machine key"


def test_a_refresh_of_a_living_node_changes_nothing(office: Office) -> None:
    office.ask(1, "reusable")
    office.tailnet.take_changes()
    answer = office.ask(1)
    assert answer["MachineAuthorized"]
    assert not answer["AuthURL"]
    assert office.tailnet.take_changes() == ([], frozenset())


def test_a_refresh_of_a_deleted_node_is_answered_with_a_login(office: Office) -> None:
    office.ask(1, "reusable")
    office.tailnet.remove_node(office.node(1).id)
    assert office.ask(1)["AuthURL"].startswith(f"{URL}/auth/")


@pytest.mark.parametrize("expiry", ["1970-01-01T00:02:03Z", "1970-01-01T00:02:03.5+02:00"])
def test_a_past_expiry_logs_out(office: Office, expiry: str) -> None:
    office.ask(1, "reusable")
    answer = office.ask(1, "reusable", Expiry=expiry)
    assert answer["NodeKeyExpired"]
    assert office.node(1).expired
    assert office.ask(1)["NodeKeyExpired"], "and stays so"
    office.ask(2, "reusable", OldNodeKey=node_key(1))
    assert not office.node(2).expired


def test_a_future_expiry_is_refused_and_the_zero_time_ignored(office: Office) -> None:
    office.ask(1, "reusable")
    assert office.ask(1, Expiry="2999-01-01T00:00:00Z")["Error"] == "extending key is not allowed"
    assert office.ask(1, Expiry="0001-01-01T00:00:00Z")["MachineAuthorized"]


def test_an_ephemeral_node_that_logs_out_is_gone(office: Office) -> None:
    office.ask(1, "short-lived")
    assert office.ask(1, Expiry="1970-01-01T00:02:03Z")["NodeKeyExpired"]
    assert office.node(1) is None


def test_a_login_waits_for_somebody_and_then_admits(office: Office) -> None:
    url = office.ask(1)["AuthURL"]
    waiting = office.ask(1, Followup=url)
    assert isinstance(waiting, Wait)
    assert url.endswith(waiting.login_id)
    assert office.registrar.approve(waiting.login_id, WALL, "bob")
    answer = office.ask(1, Followup=url)
    assert answer["Login"]["LoginName"] == "bob"
    assert not answer["AuthURL"]
    assert office.ask(1, Followup=url)["MachineAuthorized"], "the answer may have been lost"
    assert not office.registrar.approve(waiting.login_id, WALL)


@pytest.mark.parametrize("why", ["refused", "too late", "unknown", "another machine"])
def test_a_login_that_leads_nowhere_becomes_a_new_one(office: Office, why: str) -> None:
    url = office.ask(1)["AuthURL"]
    login_id = url.rpartition("/")[2]
    wall, machine = WALL, MACHINE
    if why == "refused":
        assert office.registrar.refuse(login_id, WALL)
    elif why == "too late":
        wall += PENDING_LIFETIME + 1
        assert not office.registrar.approve(login_id, wall)
    elif why == "unknown":
        url = f"{URL}/auth/ffff"
    else:
        machine = OTHER_MACHINE
    fresh = office.ask(1, machine=machine, wall=wall, Followup=url)["AuthURL"]
    assert fresh.startswith(f"{URL}/auth/")
    assert fresh != url
    assert len(office.tailnet) == 0


def test_logins_that_wait_are_bounded(office: Office) -> None:
    for number in range(MAX_PENDING + 10):
        office.ask(number + 1)
    assert len(office.registrar.logins) == MAX_PENDING


def test_without_authentication_everybody_comes_in_and_approval_can_be_asked_for() -> None:
    office = Office(require_auth=False, require_approval=True, key_lifetime=60.0)
    answer = office.ask(1)
    assert not answer["AuthURL"]
    assert not answer["MachineAuthorized"]
    assert office.node(1).key_expiry is not None
    office.tailnet.set_authorized(office.node(1).id, True)
    assert office.ask(1)["MachineAuthorized"]


def test_auth_keys_are_not_shown() -> None:
    assert "hush" not in repr(PreAuthKey(text="hush"))
    request = decode_register(b'{"NodeKey":"%b","Auth":{"AuthKey":"hush"}}' % node_key(1).encode())
    assert request.auth_key == "hush"
    assert "hush" not in repr(request)


def test_keys_of_json_are_read_in_any_case() -> None:
    request = decode_register(
        b'{"version":130,"NODEKEY":"%b","auth":{"authkey":"k"},"HostInfo":{"Os":"linux","IpnVersion":"1","hostname":"h",'
        b'"RoutableIps":["10.0.0.0/8"],"Nonsense":1}}' % node_key(1).encode()
    )
    assert request.auth_key == "k"
    assert request.hostinfo == {
        "OS": "linux",
        "IPNVersion": "1",
        "Hostname": "h",
        "RoutableIPs": ["10.0.0.0/8"],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"NodeKey":""}',
        b'{"NodeKey":"nodekey:00"}',
        b'{"NodeKey":7}',
        b'{"NodeKey":"nodekey:' + b"0" * 64 + b'"}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Version":1.5}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Version":99999999999999999999999}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Version":true}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Hostinfo":[]}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Hostinfo":{"OS":"' + b"x" * 70_000 + b'"}}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Hostinfo":{"OS":"\\ud800"}}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Expiry":"tomorrow","Endpoints":"x"}',
        b'{"NodeKey":"nodekey:' + b"1" * 64 + b'","Expiry":"2026-13-01T00:00:00Z","Endpoints":[1]}',
        b"[" * 100_000,
        b'{"NodeKey":"\xff"}',
    ],
)
def test_what_cannot_be_read_is_a_bad_request(body: bytes) -> None:
    decode = decode_map if b"Endpoints" in body and b"tomorrow" not in body else decode_register
    with pytest.raises(BadRequest, match=r"^cannot "):
        decode(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    [
        "Version",
        "NodeKey",
        "OldNodeKey",
        "DiscoKey",
        "Auth",
        "Expiry",
        "Followup",
        "Hostinfo",
        "Endpoints",
        "Stream",
    ]
)


@given(st.dictionaries(_FIELDS, _JSON | st.just(node_key(5)), max_size=8))
def test_whatever_is_asked_the_answer_is_an_answer_or_a_bad_request(body: dict[str, Any]) -> None:
    document = json.dumps({"NodeKey": node_key(5), **body}).encode()
    office = Office()
    try:
        office.registrar.register(decode_register(document), MACHINE, WALL)
        decode_map(document)
    except BadRequest:
        return


# Tags that a node asks for, under a policy

OWNED = parse_policy(
    {"tagOwners": {"tag:db": ["alice@"], "tag:ci": ["group:x"]}, "groups": {"group:x": ["bob@"]}}
)
WANTS_DB = {"Hostname": "host", "RequestTags": ["tag:db"]}


def logged_in(office: Office, user: str, number: int = 1, **fields: Any) -> Any:
    """The answer to a followup after this user has opened the page."""
    url = office.ask(number, **fields)["AuthURL"]
    assert office.registrar.approve(url.rpartition("/")[2], WALL, user)
    return office.ask(number, Followup=url, **fields)


def test_an_owner_of_the_tag_may_give_it_at_the_login() -> None:
    office = Office(policy=OWNED)
    assert logged_in(office, "alice", Hostinfo=WANTS_DB)["MachineAuthorized"]
    assert office.node().tags == ("tag:db",)
    assert logged_in(office, "bob", 2, Hostinfo={"RequestTags": ["tag:ci"]}, machine=OTHER_MACHINE)[
        "MachineAuthorized"
    ]


@pytest.mark.parametrize(("user", "tags"), [("bob", ["tag:db"]), ("alice", ["tag:db", "tag:new"])])
def test_others_cannot_and_the_node_hears_why(user: str, tags: list[str]) -> None:
    office = Office(policy=OWNED)
    answer = logged_in(office, user, Hostinfo={"RequestTags": tags})
    assert answer["Error"] == f"requested tags [{tags[-1]}] are invalid or not permitted"
    assert office.node() is None
    assert office.ask(Hostinfo=WANTS_DB)["AuthURL"], "and may try again"


def test_a_new_login_gives_the_tags_it_asks_for_and_takes_the_others() -> None:
    office = Office(policy=OWNED)
    logged_in(office, "alice", Hostinfo=WANTS_DB)
    before = office.node().id
    logged_in(office, "alice", 2, OldNodeKey=node_key(1))
    assert office.node(2).id == before
    assert office.node(2).tags == ()


def test_without_authentication_a_node_gets_what_the_first_user_may_give() -> None:
    office = Office(policy=OWNED, require_auth=False)
    assert "not permitted" in office.ask(Hostinfo={"RequestTags": ["tag:ci"]})["Error"]
    assert office.ask(Hostinfo=WANTS_DB)["MachineAuthorized"]
    assert office.node().tags == ("tag:db",)


def test_a_key_keeps_its_tags_whoever_owns_them() -> None:
    office = Office(policy=OWNED)
    assert office.ask(auth="tagged")["MachineAuthorized"]
    assert office.node().tags == ("tag:ci", "tag:web")


def test_a_tagged_key_tags_a_node_that_comes_back_and_a_plain_one_takes_none() -> None:
    office = Office()
    office.ask(auth="reusable")
    before = office.node()
    office.ask(2, "tagged", OldNodeKey=node_key(1))
    assert (office.node(2).id, office.node(2).tags) == (before.id, ("tag:ci", "tag:web"))
    assert office.node(2).user != before.user
    office.ask(3, "reusable", OldNodeKey=node_key(2))
    assert (office.node(3).id, office.node(3).tags) == (before.id, ("tag:ci", "tag:web"))


def test_without_a_policy_the_tags_of_a_login_count_for_nothing() -> None:
    office = Office()
    assert logged_in(office, "alice", Hostinfo=WANTS_DB)["MachineAuthorized"]
    assert office.node().tags == ()
