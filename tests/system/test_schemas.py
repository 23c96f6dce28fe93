"""What the commands and the endpoint of a real daemon print is what `schema` says of it."""

from __future__ import annotations

import http.client
import json
import subprocess
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.host.free_ports import free_address
from tests.support.processes.daemon import Daemon
from tests.support.schemas.strict import closed, part
from tests.support.waiting import wait_for

CHURN = "[dev_control]\nnodes = 12\nchurn = 20.0\n"
EVENTS = 12


def test_what_a_daemon_shows_is_what_its_schemas_say() -> None:
    where = free_address()
    with Daemon("--http-listen", where, config=CHURN, history=True) as daemon:
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")
        daemon.wait_event("actor_ready", actor="http_endpoint")

        def command(*arguments: str) -> str:
            return daemon.command(*arguments, check=True).stdout

        def schema(name: str) -> dict[str, Any]:
            return json.loads(daemon.run_free("schema", name).stdout)

        def held(name: str, *shown: str | bytes) -> None:
            validator = Draft202012Validator(closed(schema(name)))
            for one in shown:
                validator.validate(json.loads(one))

        def page(path: str) -> bytes:
            client = http.client.HTTPConnection(where, timeout=20)
            client.request("GET", path)
            body = client.getresponse().read()
            client.close()
            return body

        wait_for(lambda: json.loads(page("/healthz"))["state"] == "fresh", 20.0, "a fresh endpoint")
        own = json.loads(page("/netmap"))["self"]["stable_id"]
        held("netmap", command("netmap", "--json"), command("export", "json"), page("/netmap"))
        held("status", command("status", "--json"))
        held("sd", command("export", "prometheus-sd", "--port=9100"), page("/sd?port=9100"))
        with daemon.spawn_command(
            "watch", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as watch:
            assert watch.stdout is not None
            held("watch", *(watch.stdout.readline() for _ in range(EVENTS)))
            watch.terminate()
        wait_for(
            lambda: json.loads(command("history", "--json"))["occurrences"], 20.0, "something in the history"
        )
        held("history", command("history", "--json"), page("/history?since=1h"))
        part("openapi", "NodeInFull").validate(json.loads(command("netmap", own, "--json")))
        part("openapi", "NodeAnswer").validate(json.loads(page(f"/netmap?peer={own}")))
        served = json.loads(page("/openapi.json"))
        assert served == schema("openapi")
        OpenAPIV31SpecValidator(served).validate()
