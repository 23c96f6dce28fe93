"""Secrets of the environment: held, wiped and never shown."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.errors import ConfigurationError
from netmap_supervisor.system.held_environment import PROXIES, HeldEnvironment

VALUES = st.text(st.characters(min_codepoint=33), min_size=1, max_size=60)


@given(
    st.dictionaries(st.sampled_from([*PROXIES, "THE_KEY", "PATH", "OTHER"]), VALUES),
    st.sampled_from(["env:THE_KEY", "file:/k", ""]),
)
def test_what_is_held_can_be_read_here_and_nowhere_else(given_, auth_key) -> None:
    environment = dict(given_)
    forgotten: list[str] = []
    held = HeldEnvironment(environment, forgotten.extend)
    held.hold(auth_key)
    secret = {name for name in given_ if name in PROXIES or (name == "THE_KEY" and auth_key == "env:THE_KEY")}
    assert dict(held) == given_
    assert set(environment) == set(given_) - secret
    assert set(forgotten) == secret
    assert set(held.secrets(auth_key)) == secret
    held.hold(auth_key)
    assert set(held.secrets(auth_key)) == secret, "a reload forgets nothing"


def test_another_variable_named_by_a_reload_is_held_then() -> None:
    environment = {"FIRST": "one", "SECOND": "two"}
    held = HeldEnvironment(environment)
    held.hold("env:FIRST")
    held.hold("env:SECOND")
    assert environment == {}
    assert held.secrets("env:SECOND") == {"SECOND": "two"}
    assert held.secrets("env:FIRST") == {"FIRST": "one"}
    assert "one" not in repr(held)


def test_what_does_not_fit_into_a_boot_record_is_refused_with_a_reason() -> None:
    with pytest.raises(ConfigurationError, match="shorten NO_PROXY"):
        HeldEnvironment({"NO_PROXY": "a.example," * 4000}).hold("")


def test_bytes_that_are_not_text_can_be_passed_on() -> None:
    held = HeldEnvironment({"https_proxy": "http://a\udcffb"})
    held.hold("")
    assert held.secrets("") == {"https_proxy": "http://a\0b"}


def test_the_kernel_does_not_show_what_was_wiped() -> None:
    program = """
        import os, sys
        from netmap_supervisor.system.held_environment import HeldEnvironment, wipe
        held = HeldEnvironment(os.environ, wipe)
        held.hold("env:THE_KEY")
        shown = open("/proc/self/environ", "rb").read()
        print(b"tskey" in shown, b"hunter2" in shown, b"NEIGHBOUR=stays" in shown, b"THE_KEY=" in shown)
        print("THE_KEY" in os.environ, held["THE_KEY"], os.environ["NEIGHBOUR"])
    """
    env = {"A": "1", "THE_KEY": "tskey-x", "https_proxy": "http://u:hunter2@p", "NEIGHBOUR": "stays"}
    command = [sys.executable, "-P", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines() == ["False False True True", "False tskey-x stays"]
