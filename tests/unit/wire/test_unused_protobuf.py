"""Protobuf's implementation in Python is not loaded, and is there for whoever uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = """
import sys
from netmap_actors.wire import internal_pb2, netmap_pb2
assert internal_pb2.Hello.FromString(internal_pb2.Hello(pid=3).SerializeToString()).pid == 3
print("google.protobuf.internal.decoder" in sys.modules)
"""
USED = """
import inspect, sys
from netmap_actors.wire import internal_pb2
from google.protobuf import descriptor_pool
stand_in = descriptor_pool.python_message
assert inspect.getmodule(len) and not hasattr(stand_in, "__file__"), "no use of it"
assert "google.protobuf.internal.decoder" not in sys.modules
kind = stand_in.GeneratedProtocolMessageType
from google.protobuf.internal import python_message
assert python_message.__file__ and python_message.GeneratedProtocolMessageType is kind
assert stand_in.GeneratedProtocolMessageType is kind, "loaded once"
print(stand_in is python_message)
"""
BEFORE = """
from google.protobuf.internal import python_message
from netmap_actors.wire import internal_pb2
from google.protobuf import descriptor_pool
print(descriptor_pool.python_message is not python_message)
"""


@pytest.mark.parametrize("program", [LOADED, USED, BEFORE], ids=["loaded", "used", "loaded before"])
def test_it_is_loaded_by_its_first_use_alone(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
