"""Policies as people write them: what is read from a file, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.operator.files import read_policy
from netmap_actors.dev_control.tailnet.policy import BadPolicy, parse_policy
from netmap_actors.dev_control.tailnet.tailnet import Tailnet
from netmap_actors.errors import ConfigurationError
from tests.support.servers.policies import SOURCES, WORDS, add, first, rule


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "the policy: it is not an object"),
        ({"ipsets": []}, "ipsets: this server does not know it"),
        ({"grants": {}}, "grants: it is not a list"),
        ({"grants": [{"src": ["*"], "dst": ["*"]}]}, "grants[0]: it grants nothing: give it ip"),
        ({"grants": [{"src": ["*"], "ip": ["*"]}]}, "grants[0].dst: it is not a list"),
        (
            {"grants": [{"src": ["*"], "dst": ["tag:no"], "ip": ["*"]}]},
            "grants[0].dst[0]: there is no 'tag:no'",
        ),
        ({"grants": [{"src": ["*"], "dst": ["*"], "ip": ["tcp:x"]}]}, "grants[0].ip[0]: 'x' in 'tcp:x'"),
        ({"grants": [{"src": ["*"], "dst": ["*"], "ip": ["x:1"]}]}, "grants[0].ip[0]: 'x' is none of icmp"),
        ({"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "via": []}]}, "grants[0].via: a grant has"),
        ({"grants": [{"src": ["*"], "dst": ["*"], "app": []}]}, "grants[0].app: it is not an object"),
        ({"acls": {}}, "acls: it is not a list"),
        ({"acls": ["x"]}, "acls[0]: it is not an object"),
        ({"acls": [{"action": "drop", "src": ["*"], "dst": ["*:*"]}]}, 'acls[0].action: it must be "accept"'),
        ({"acls": [rule(["*"], ["*:*"], ports=[1])]}, "acls[0].ports: a rule has"),
        ({"acls": [rule("*", ["*:*"])]}, "acls[0].src: it is not a list"),  # type: ignore[arg-type]
        ({"acls": [rule(["*"], [""])]}, "acls[0].dst: it is not a list of words"),
        (
            {"acls": [rule(["*"], ["*:*"]), rule(["*"], ["*:*", "tag:db"])]},
            "acls[1].dst[1]: 'tag:db' lacks a port",
        ),
        ({"acls": [rule(["*"], ["office"])]}, "acls[0].dst[0]: 'office' lacks a port"),
        ({"acls": [rule(["*"], ["*:x"])]}, "'x' in '*:x' is no port"),
        ({"acls": [rule(["*"], ["*:9-5"])]}, "'9-5' in '*:9-5' is no range"),
        ({"acls": [rule(["*"], ["*:70000"])]}, "no range of ports"),
        ({"acls": [rule(["group:no"], ["*:*"])]}, "acls[0].src[0]: there is no 'group:no' under groups"),
        ({"acls": [rule(["tag:no"], ["*:*"])]}, "there is no 'tag:no' under tagOwners"),
        ({"acls": [rule(["autogroup:self"], ["*:*"])]}, "'autogroup:self' is not known here"),
        ({"acls": [rule(["10.1.0.1/16"], ["*:*"])]}, "has host bits set"),
        ({"acls": [rule(["300.0.0.1"], ["*:*"])]}, "does not appear to be"),
        ({"acls": [rule(["*"], ["*:*"], proto="x")]}, "acls[0].proto: 'x' is none of icmp"),
        ({"acls": [rule(["*"], ["*:*"], proto="256")]}, "no number"),
        ({"groups": {"ops": []}}, "groups.ops: the name of a group begins with group:"),
        ({"groups": {"group:a": ["group:b"]}}, "groups.group:a: 'group:b' is no user"),
        ({"hosts": {"a": "b"}}, "hosts.a: 'b' does not appear"),
        ({"hosts": {"a": 5}}, "hosts.a: an address or a prefix is expected"),
        ({"tagOwners": {"db": []}}, "tagOwners.db: a tag begins with tag:"),
        ({"tagOwners": {"tag:db": ["group:no"]}}, "tagOwners.tag:db: there is no 'group:no'"),
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


def test_the_example_of_the_docs_says_what_its_comments_say() -> None:
    made = read_policy(Path(__file__).parents[4] / "docs/examples/policies/web-and-db.hujson")
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
    assert made.refused_tags("bob", ["tag:web", "tag:db"]) == ["tag:db"]
    assert made.ignored == ()


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.toml", "x ="), ("b.json", "\\udcff"), ("c.json", "")]
)
def test_a_file_that_is_no_policy_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=f"cannot use the policy: .*{name}"):
        read_policy(tmp_path / name)
