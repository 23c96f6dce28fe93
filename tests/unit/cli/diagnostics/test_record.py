"""`record`: the file, when the daemon does not do as it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from netmap_supervisor.admin.socket import AdminError
from netmap_supervisor.cli import main
from netmap_supervisor.cli.diagnostics import record

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class Tap:
    hello: ClassVar[dict[str, object]] = {"kind": "hello"}

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_daemon_that_does_not_reconnect_leaves_no_file_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise AdminError("cannot reconnect: why")

    monkeypatch.setattr(record, "TapClient", Tap)
    monkeypatch.setattr(record, "send_request", refused)
    path = tmp_path / "session.jsonl"
    assert main(["record", str(path), "--reconnect", f"--runtime-dir={tmp_path}"]) == 1
    assert "cannot reconnect: why" in capsys.readouterr().err
    assert not path.exists()
