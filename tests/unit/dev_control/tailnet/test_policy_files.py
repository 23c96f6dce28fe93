"""Policies as people write them: what is read from a file, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.operator.files import read_policy
from netmap_actors.dev_control.tailnet.policy import BadPolicy, parse_policy, read_policy_text
from netmap_actors.dev_control.tailnet.tailnet import Tailnet
from netmap_actors.errors import ConfigurationError
from tests.support.servers.policies import SOURCES, WORDS, add, filters, first, rule


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "the policy: it is not an object"),
        ({"ipsets": []}, "ipsets: this server does not know it"),
        ({"grants": {}}, "grants: it is not a list"),
        ({"grants": [{"src": ["*"], "dst": ["*"]}]}, "grants[0]: it grants nothing: give it ip"),
        ({"grants": [{"src": ["*"], "ip": ["*"]}]}, "grants[0]: it has no dst"),
        (
            {"grants": [{"src": ["*"], "dst": ["tag:no"], "ip": ["*"]}]},
            "grants[0].dst[0]: there is no 'tag:no'",
        ),
        (
            {"grants": [{"src": ["*"], "dst": ["*"], "ip": ["tcp:x"]}]},
            "grants[0].ip[0]: 'tcp:x' does not end with a port",
        ),
        (
            {"grants": [{"src": ["*"], "dst": ["*"], "ip": ["x:1"]}]},
            "grants[0].ip[0]: 'x:1': the protocol is none of icmp",
        ),
        (
            {"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "srcPosture": []}]},
            "grants[0].srcPosture: a grant has",
        ),
        ({"grants": [{"src": ["*"], "dst": ["*"], "app": []}]}, "grants[0].app: it is not an object"),
        ({"acls": {}}, "acls: it is not a list"),
        ({"acls": ["x"]}, "acls[0]: it is not an object"),
        (
            {"acls": [{"action": "drop", "src": ["*"], "dst": ["*:*"]}]},
            'acls[0].action: the action must be "accept"',
        ),
        ({"acls": [rule(["*"], ["*:*"], srcPosture=[])]}, "acls[0].srcPosture: a rule has"),
        ({"acls": [rule("*", ["*:*"])]}, "acls[0].src: it is not a list"),  # type: ignore[arg-type]
        ({"acls": [rule(["*"], [""])]}, "acls[0].dst[0]: it is not a list of words"),
        (
            {"acls": [rule(["*"], ["*:*"]), rule(["*"], ["*:*", "tag:db"])]},
            "acls[1].dst[1]: 'tag:db' lacks a port",
        ),
        ({"acls": [rule(["*"], ["office"])]}, "acls[0].dst[0]: 'office' lacks a port"),
        ({"acls": [rule(["*"], ["*:x"])]}, "'*:x' does not end with a port"),
        ({"acls": [rule(["*"], ["*:9-5"])]}, "'*:9-5': the ports are 1 to 65535"),
        ({"acls": [rule(["*"], ["*:70000"])]}, "the ports are 1 to 65535"),
        ({"acls": [rule(["group:no"], ["*:*"])]}, "acls[0].src[0]: there is no 'group:no' under groups"),
        ({"acls": [rule(["tag:no"], ["*:*"])]}, "there is no 'tag:no' under tagOwners"),
        ({"acls": [rule(["autogroup:self"], ["*:*"])]}, "autogroup:self may stand in dst only"),
        ({"acls": [rule(["10.1.0.1/16"], ["*:*"])]}, "has host bits set"),
        ({"acls": [rule(["300.0.0.1"], ["*:*"])]}, "does not appear to be"),
        ({"acls": [rule(["*"], ["*:*"], proto="x")]}, "acls[0].proto: 'x': the protocol is none of icmp"),
        ({"acls": [rule(["*"], ["*:*"], proto="256")]}, "no number"),
        ({"groups": {"ops": []}}, "groups.ops: the name of a group begins with group:"),
        ({"groups": {"group:a": ["group:b"]}}, "groups.group:a[0]: 'group:b' is no user"),
        ({"hosts": {"a": "b"}}, "hosts.a: 'b' does not appear"),
        ({"hosts": {"a": 5}}, "hosts.a: an address or a prefix is expected"),
        ({"tagOwners": {"db": []}}, "tagOwners.db: a tag begins with tag:"),
        ({"tagOwners": {"tag:db": ["group:no"]}}, "tagOwners.tag:db[0]: there is no 'group:no'"),
        ({"\x1b[2J": 1}, "\\x1b[2J: this server"),
    ],
)
def test_a_policy_that_cannot_be_used_says_where_and_why(document: object, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadPolicy) as caught:
        parse_policy({**WORDS, **document} if isinstance(document, dict) else document)
    assert str(caught.value).startswith("cannot use the policy: ")
    assert why in str(caught.value)
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=r"policy\.json"):
        read_policy(file)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(SOURCES)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(
                st.sampled_from(
                    ["acls", "groups", "hosts", "tagOwners", "action", "src", "dst", "proto", "tag:db"]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=20,
    )
)
def test_whatever_a_policy_holds_it_is_used_or_refused(document: object) -> None:
    try:
        parse_policy(document)
    except BadPolicy:
        return


def test_a_policy_is_read_as_people_write_it(tmp_path: Path) -> None:
    json_file, toml_file = tmp_path / "policy.hujson", tmp_path / "policy.toml"
    json_file.write_text(
        """// Who may reach the databases.
        {
          "tagOwners": {"tag:db": ["alice@",],}, /* one
          owner */
          "acls": [
            {"action": "accept", "src": ["alice@"], "dst": ["tag:db:5432"]}, // the last one, // really
          ],
          "ssh": [{"note": "a // in a text, ]"}],
        }"""
    )
    toml_file.write_text(
        'ssh = []\n[tagOwners]\n"tag:db" = ["alice@"]\n'
        '[[acls]]\naction = "accept"\nsrc = ["alice@"]\ndst = ["tag:db:5432"]\n'.replace("\\\n", "\n")
    )
    made = read_policy(json_file)
    assert made == read_policy(toml_file)
    assert made.ignored == ("ssh",)
    assert len(made.rules) == 1


EXAMPLES = Path(__file__).parents[4] / "docs" / "examples" / "policies"


def test_the_example_of_the_docs_says_what_its_comments_say() -> None:
    made = read_policy(EXAMPLES / "web-and-db.hujson")
    tailnet = Tailnet(policy=made)
    ops, web, database = (
        add(tailnet, 1),
        add(tailnet, 2, tags=("tag:web",)),
        add(tailnet, 3, tags=("tag:db",)),
    )
    guest = add(tailnet, 4, "carol")
    assert [set(first(tailnet, one).peers) for one in (ops, web, database, guest)] == [
        {web, database},
        {ops, database, guest},
        {ops, web},
        {web},
    ]
    assert tailnet.refused_tags("bob", ["tag:web", "tag:db"]) == ["tag:db"]
    assert made.ignored == ()


def test_own_nodes_are_reached_by_their_user_only() -> None:
    tailnet = Tailnet(policy=read_policy(EXAMPLES / "own-nodes.hujson"))
    phone, laptop, other = add(tailnet, 1), add(tailnet, 2), add(tailnet, 3, "bob")
    printer = add(tailnet, 4, tags=("tag:printer",))
    assert [set(first(tailnet, one).peers) for one in (phone, other, printer)] == [
        {laptop, printer},
        {printer},
        {phone, laptop, other},
    ]
    assert tailnet.refused_tags("alice", ["tag:printer"]) == []
    assert tailnet.refused_tags("bob", ["tag:printer"]) == ["tag:printer"]


def test_an_office_is_reached_through_what_its_nodes_offer() -> None:
    made = read_policy(EXAMPLES / "office-network.hujson")
    assert made.ignored == ("nodeAttrs", "ssh")
    tailnet = Tailnet(policy=made)
    admin, traveller = add(tailnet, 1), add(tailnet, 2, "bob")
    router = add(tailnet, 3, tags=("tag:router",), hostinfo={"RoutableIPs": ["10.1.0.0/16", "0.0.0.0/0"]})
    way_out = add(tailnet, 4, tags=("tag:exit",), hostinfo={"RoutableIPs": ["10.2.0.0/16", "0.0.0.0/0"]})
    database = add(tailnet, 5, tags=("tag:db",))
    seen = first(tailnet, traveller).peers
    assert set(first(tailnet, admin).peers) == {router, database}
    assert set(seen) == {router, way_out, database}
    assert seen[router]["AllowedIPs"][2:] == ["10.1.0.0/16"]
    assert seen[way_out]["AllowedIPs"][2:] == ["0.0.0.0/0"]
    places = [[place["IP"] for place in rule["DstPorts"]] for rule in filters(tailnet, router)]
    assert places == [["10.1.0.80/32"], ["10.1.0.0/16"]]
    assert [rule.keys() for rule in filters(tailnet, database)] == [
        {"SrcIPs", "DstPorts", "IPProto"},
        {"SrcIPs", "CapGrant"},
    ]


AS_PEOPLE_WRITE_THEM = {
    "a new tailnet": """{
        // Comment this section out to shut everything.
        "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}],
        "ssh": [{"action": "check", "src": ["autogroup:member"], "dst": ["autogroup:self"],
                 "users": ["autogroup:nonroot", "root"]}],
        "nodeAttrs": [{"target": ["autogroup:member"], "attr": ["funnel"]},],
        /* "tests": [{"src": "alice@example.com", "accept": ["tag:example"]}], */
    }""",
    "administrators everywhere": """{
        "groups": {"group:it": ["alice@example.com", "bob@example.com"], "group:nobody": []},
        "acls": [
            {"action": "accept", "src": ["autogroup:admin", "autogroup:owner", "group:it"], "dst": ["*:*"]},
            {"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*", "autogroup:internet:*"]},
            {"action": "accept", "src": ["autogroup:tagged"], "proto": "udp", "dst": ["autogroup:it-admin:53"]},
        ],
    }""",
    "stages": """{
        "tagOwners": {"tag:dev": ["group:eng"], "tag:prod": ["autogroup:admin", "tag:dev"], "tag:spare": null},
        "groups": {"group:eng": ["carol@example.com"]},
        "hosts": {"metrics": "192.0.2.10", "lab": "2001:db8:1::/48"},
        "acls": [
            {"action": "accept", "src": ["group:eng"], "dst": ["tag:dev:*", "metrics:9090-9093", "lab:22,443"]},
            {"action": "accept", "src": ["tag:prod"], "proto": "tcp", "dst": ["tag:prod:5432", "[fd7a::1]:22"]},
            {"action": "accept", "src": ["tag:dev"], "proto": "icmp", "dst": ["tag:prod:*"]},
        ],
        "tests": [{"src": "carol@example.com", "accept": ["tag:dev:80"], "deny": ["tag:prod:5432"]}],
        "randomizeClientPort": true,
    }""",
    "applications": """{
        "tagOwners": {"tag:k8s": ["autogroup:admin"], "tag:nas": ["autogroup:admin"]},
        "grants": [
            {"src": ["autogroup:member"], "dst": ["tag:nas"], "ip": ["tcp:445"],
             "app": {"tailscale.com/cap/drive": [{"shares": ["*"], "access": "rw"}]}},
            {"src": ["autogroup:admin"], "dst": ["tag:k8s"],
             "app": {"tailscale.com/cap/kubernetes": [{"impersonate": {"groups": ["system:masters"]}}]}},
            {"src": ["user:*@example.com"], "dst": ["autogroup:member"], "ip": ["22", "80-443", "udp:*"]},
        ],
    }""",
    "exits by place": """{
        "tagOwners": {"tag:exit-eu": ["autogroup:admin"], "tag:exit-us": ["autogroup:admin"]},
        "groups": {"group:eu": ["dora@example.com"], "group:us": ["ed@example.com"]},
        "autoApprovers": {"exitNode": ["tag:exit-eu", "tag:exit-us"]},
        "grants": [
            {"src": ["group:eu"], "dst": ["autogroup:internet"], "via": ["tag:exit-eu"], "ip": ["*"]},
            {"src": ["group:us"], "dst": ["autogroup:internet"], "via": ["tag:exit-us"], "ip": ["*"]},
        ],
    }""",
}


@pytest.mark.parametrize("name", AS_PEOPLE_WRITE_THEM)
def test_a_policy_as_people_write_it_is_used(name: str) -> None:
    made = read_policy_text(AS_PEOPLE_WRITE_THEM[name], toml=False)
    tailnet = Tailnet(policy=made)
    for number, user in enumerate(("alice@example.com", "carol@example.com", "dora@example.com"), 1):
        add(tailnet, number, user)
    for number, tag in enumerate(made.tag_owners, 4):
        tailnet.set_routes(add(tailnet, number, tags=(tag,)), ["0.0.0.0/0", "192.0.2.0/24"])
    held = {number: set(first(tailnet, number).peers) for number in tailnet.entries}
    assert held == SEEN[name]
    assert all(one in held[other] for one, others in held.items() for other in others), "both, or neither"


SEEN: dict[str, dict[int, set[int]]] = {
    "a new tailnet": {1: {2, 3}, 2: {1, 3}, 3: {1, 2}},
    "administrators everywhere": {1: {2, 3}, 2: {1}, 3: {1}},
    "stages": {1: set(), 2: {4, 5, 6}, 3: set(), 4: {2, 5}, 5: {2, 4}, 6: {2}},
    "applications": {1: {2, 3, 4, 5}, 2: {1, 3, 5}, 3: {1, 2, 5}, 4: {1}, 5: {1, 2, 3}},
    "exits by place": {1: set(), 2: set(), 3: {4}, 4: {3}, 5: set()},
}
"""By id: three users, then a node with each tag, which is an exit node and leads to 192.0.2.0/24."""


@pytest.mark.parametrize(
    "policy",
    [
        """{"ACLs": [{"Action": "accept", "Users": ["alice@"], "Ports": ["*:22"]}]}""",
        """{"acls": [{"action": "accept", "users": ["alice@"], "ports": ["*:22"]}], "Grants": null}""",
    ],
)
def test_older_names_and_other_capitals_mean_the_same(policy: str) -> None:
    newer = """{"acls": [{"action": "accept", "src": ["alice@"], "dst": ["*:22"]}]}"""
    assert read_policy_text(policy, toml=False) == read_policy_text(newer, toml=False)


def test_via_nobody_is_no_via() -> None:
    plain = {"src": ["*"], "dst": ["alice@"], "ip": ["22"]}
    assert parse_policy({"grants": [{**plain, "via": []}]}) == parse_policy({"grants": [plain]})


def test_a_role_that_nobody_has_is_told_as_without_effect() -> None:
    made = parse_policy({"acls": [rule(["autogroup:network-admin", "autogroup:admin"], ["*:*"])]})
    assert made.ignored == ("autogroup:network-admin",)


@pytest.mark.parametrize(
    ("line", "column", "why"),
    [
        (
            '    {"src": ["user:bob@x"], "dst": ["*"], "ip": ["*"]}',
            14,
            "'user:bob@x': of words with user: this",
        ),
        ('    {"src": ["*@example.com"], "dst": ["*"], "ip": ["*"]}', 14, "'*@example.com' is no user"),
        ('    {"src": ["alice@*"], "dst": ["*"], "ip": ["*"]}', 14, "'alice@*' is no user"),
        ('    {"src": ["*", "tag"], "dst": ["*"], "ip": ["*"]}', 19, "there is no 'tag' under hosts"),
        ('    {"src": ["100.64.0.1-100.64.0.9"], "dst": ["*"], "ip": ["*"]}', 14, "there is no '100.64.0.1-"),
        (
            '    {"src": ["autogroup:shared"], "dst": ["*"], "ip": ["*"]}',
            14,
            "'autogroup:shared' is not known",
        ),
        ('    {"src": ["autogroup:internet"], "dst": ["*"], "ip": ["*"]}', 14, "may stand in dst only"),
        ('    {"src": ["0.0.0.0/0"], "dst": ["*"], "ip": ["*"]}', 14, "is every address"),
        ('    {"src": ["*"], "dst": ["webservr"], "ip": ["*"]}', 28, "there is no 'webservr' under hosts"),
        ('    {"src": ["*"], "dst": ["ipset:a"], "ip": ["*"]}', 28, "'ipset:a': of words with ipset:"),
        ('    {"src": ["*"], "dst": ["autogroup:danger-all"], "ip": ["*"]}', 28, "may stand in src only"),
        (
            '    {"src": ["*"], "dst": ["autogroup:self"], "ip": ["*"]}',
            14,
            "'*': to autogroup:self lead users",
        ),
        ('    {"src": ["*"], "dst": ["::/0"], "ip": ["*"]}', 28, "is every address"),
        ('    {"src": ["*"], "dst": ["*"], "ip": ["tcp:0"]}', 41, "the ports are 1 to 65535"),
        ('    {"src": ["*"], "dst": ["*"], "ip": ["icmp:8"]}', 41, "only tcp, udp and sctp have ports"),
        ('    {"src": ["*"], "dst": ["*"], "ip": ["tcp:1,2"]}', 41, "one port or range each"),
        ('    {"src": ["*"], "dst": ["*"], "ip": []}', 5, "it grants nothing"),
        ('    {"src": ["*"], "dst": ["*"], "app": {}}', 5, "it grants nothing"),
        ('    {"src": ["*"], "dst": ["*"], "app": {"cap": []}}', 42, "a capability is DOMAIN/PATH"),
        ('    {"src": ["*"], "dst": ["*"], "app": {"a/b": ["\\ud800"]}}', 49, "reads as JSON"),
        ('    {"src": ["*"], "dst": ["*"], "app": {"a/b": [1e400]}}', 49, "reads as JSON"),
        ('    {"src": ["*"], "dst": ["*"], "app": {"https://a.example/b": []}}', 42, "is DOMAIN/PATH"),
        (
            '    {"src": ["*"], "dst": ["*"], "app": {"tailscale.com/cap/funnel": []}}',
            42,
            "a policy may grant",
        ),
        (
            '    {"src": ["*"], "dst": ["autogroup:internet"], "app": {"a/b": []}}',
            28,
            "app cannot be granted",
        ),
        (
            '    {"src": ["*"], "dst": ["10.0.0.0/8"], "ip": ["*"], "via": ["tag:no"]}',
            64,
            "no 'tag:no' under",
        ),
        ('    {"src": ["*"], "dst": ["alice@"], "ip": ["*"], "via": ["tag:db"]}', 28, "with via this server"),
        ('    {"src": ["*"], "dst": ["*"], "ip": ["*"], "srcPosture": ["a"]}', 47, "a grant has src, dst"),
        ('    {"src": ["*"], "dst": ["*"], "ip": ["*"], "SRC": ["a"]}', 47, "it is src again"),
    ],
)
def test_what_is_not_known_here_is_refused_with_file_line_and_column(
    line: str, column: int, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.hujson"
    file.write_text(f'{{ // A policy.\n  "tagOwners": {{"tag:db": []}},\n  "grants": [\n{line},\n  ],\n}}\n')
    with pytest.raises(ConfigurationError) as caught:
        read_policy(file)
    text = str(caught.value)
    assert text.startswith(f"cannot use the policy: line 4, column {column}: grants[0]")
    assert why in text
    assert text.endswith(f" (in {file})")


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.toml", "x ="), ("b.json", "\\udcff"), ("c.json", "")]
)
def test_a_file_that_is_no_policy_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=f"cannot use the policy: .*{name}"):
        read_policy(tmp_path / name)
