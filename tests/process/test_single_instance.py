"""One daemon for a directory, until the last of its processes is gone."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from netmap_actors.errors import ConfigurationError
from netmap_supervisor.system.single_instance import (
    LOCK_NAME,
    TOUCH_INTERVAL,
    AlreadyRunning,
    Claim,
    is_locked,
)


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        yield Path(path)


def claim(place: Path, wait=lambda _: None, state: str = "state", runtime: str = "run") -> Claim:
    return Claim(place / state, place / runtime, wait)


def test_directories_are_made_for_their_owner_only_and_the_sockets_directory_is_new(place) -> None:
    first = claim(place)
    for made in (place / "state", place / "run", first.run_dir):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert first.run_dir.parent == place / "run"
    run_dir = first.run_dir
    first.release()
    assert not run_dir.exists()
    second = claim(place)
    assert second.run_dir != run_dir
    second.release()


@pytest.mark.parametrize("shared", ["state", "run"])
def test_a_second_claim_waits_then_is_refused_with_what_to_do(place, shared) -> None:
    first = claim(place)
    waited: list[float] = []
    names = {"state": "other-state", "runtime": "other-run"} | (
        {"state": "state"} if shared == "state" else {"runtime": "run"}
    )
    with pytest.raises(AlreadyRunning, match="already") as caught:
        claim(place, waited.append, **names)
    assert sum(waited) == pytest.approx(3.0, abs=0.2)
    assert "netmap-supervisor stop" in str(caught.value)
    assert first.run_dir.exists(), "the first is unaffected"
    first.release()


def test_a_claim_that_is_given_back_in_time_is_taken(place) -> None:
    first = claim(place)
    steps: list[float] = []

    def wait(seconds: float) -> None:
        steps.append(seconds)
        if len(steps) == 5:
            first.release()

    claim(place, wait).release()
    assert len(steps) == 5


def test_the_claim_lasts_until_the_last_child_is_gone(place) -> None:
    first = claim(place)
    program = (
        "import sys; from netmap_actors import child_lock; child_lock.take(sys.argv[1]); print(); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(first.shared[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.read(1) == b"\n"
    first.release()
    assert is_locked(place / "run")
    with pytest.raises(AlreadyRunning):
        claim(place)
    child.communicate(b"\n", timeout=20)
    assert not is_locked(place / "run")
    claim(place).release()


def test_what_a_dead_run_left_is_cleared_away_and_nothing_else(place) -> None:
    dead = claim(place)
    (dead.run_dir / "supervisor.sock").touch()
    for lock in dead.locks:  # as the kernel does when the last process of it is gone
        os.close(lock)
    # Not ours, though somebody called it so.
    foreign = place / "run" / "r-abcd1234"
    foreign.mkdir()
    (foreign / "photo").touch()
    (place / "run" / "mine").touch()
    made = claim(place)
    names = {path.name for path in (place / "run").iterdir()}
    assert names == {"lock", "lock.children", "mine", foreign.name, made.run_dir.name}
    assert made.run_dir.name != dead.run_dir.name
    assert (foreign / "photo").exists()
    made.release()


@pytest.mark.parametrize(
    "text", ["..", "/", "r-", "r-../../mine", "r-zzzzzzzz", "r-abcd1234x", "\xff", "a" * 200]
)
def test_a_lock_file_that_names_something_else_has_nothing_removed(place, text) -> None:
    kept = [place / "mine", place / "run" / "r-abcd1234x", place / "run" / "r-zzzzzzzz"]
    for directory in kept:
        directory.mkdir(parents=True)
    (place / "run").chmod(0o700)
    (place / "run" / LOCK_NAME).write_text(text, "latin-1")
    claim(place).release()
    assert all(directory.is_dir() for directory in kept)


def test_asking_whether_it_is_locked_disturbs_nobody(place) -> None:
    assert not is_locked(place / "run")
    made = claim(place)
    assert is_locked(place / "run")
    made.release()
    # Two who ask at the same time: one holds its shared lock while the other asks.
    import fcntl

    with (place / "run" / "lock").open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert not is_locked(place / "run")


@pytest.mark.parametrize("which", ["state", "run"])
def test_a_lock_that_cannot_be_opened_is_named(place, which) -> None:
    (place / which / LOCK_NAME).mkdir(parents=True)
    (place / which).chmod(0o700)
    with pytest.raises(
        ConfigurationError, match=rf"cannot lock .*{which}: Is a directory; the files lock and"
    ):
        claim(place)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
@pytest.mark.parametrize("which", ["state", "run"])
def test_a_directory_that_others_may_write_to_is_refused(place, which, mode) -> None:
    (place / which).mkdir()
    (place / which).chmod(mode)
    with pytest.raises(ConfigurationError, match="others may write to it"):
        claim(place)


def test_a_directory_of_everybody_is_not_to_be_made_private(place) -> None:
    (place / "state").mkdir()
    (place / "state").chmod(0o1777)
    with pytest.raises(ConfigurationError, match="choose another, such as one inside it") as caught:
        claim(place)
    assert "chmod" not in str(caught.value)


def test_a_directory_that_cannot_be_made_is_refused_with_the_options_that_name_another(place) -> None:
    (place / "state").write_text("a file")
    with pytest.raises(
        ConfigurationError, match=r"File exists; choose another with --state-dir or --runtime-dir"
    ):
        claim(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a directory away")
def test_a_directory_that_is_somebody_elses_is_refused(place) -> None:
    (place / "state").mkdir(mode=0o700)
    os.chown(place / "state", 12345, -1)
    with pytest.raises(
        ConfigurationError, match=r"belongs to user 12345.*; choose another with --state-dir or"
    ):
        claim(place)


def test_a_file_in_the_way_is_named(place) -> None:
    (place / "file").touch()
    with pytest.raises(ConfigurationError, match="file"):
        Claim(place / "file" / "state", place / "run", lambda _: None)


def test_a_runtime_path_too_long_for_a_socket_says_the_limit_and_what_to_set(place) -> None:
    with pytest.raises(ConfigurationError, match="107") as caught:
        claim(place, runtime="x" * 100)
    assert "--runtime-dir" in str(caught.value)
    assert not (place / ("x" * 100)).exists()


def test_a_claim_that_fails_half_way_holds_nothing(place) -> None:
    (place / "state").mkdir(mode=0o777)
    (place / "state").chmod(0o777)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ConfigurationError):
        claim(place)
    assert not is_locked(place / "run")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_runtime_directory_that_was_removed_is_missed(place) -> None:
    held = claim(place)
    assert not held.lost(0.0)
    shutil.rmtree(held.run_dir)
    assert held.lost(1.0)
    held.release()
    held = claim(place)
    shutil.rmtree(place / "run")
    assert held.lost(2.0)
    held.release()


def test_a_directory_of_somebody_else_in_its_place_is_not_ours(place) -> None:
    held = claim(place)
    (place / "run" / LOCK_NAME).unlink()
    (place / "run" / LOCK_NAME).touch()
    assert held.lost(0.0)
    held.release()
    held = claim(place)
    shutil.rmtree(place / "run")
    (place / "run").touch()
    assert held.lost(0.0)
    held.release()


def test_what_cannot_be_looked_at_is_not_called_removed(place, monkeypatch: pytest.MonkeyPatch) -> None:
    held = claim(place)

    def broken(_path: Path) -> os.stat_result:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", broken)
        assert not held.lost(0.0)
    held.release()


def test_the_locks_are_touched_before_anybody_sweeps_them_away(place) -> None:
    held = claim(place)
    locks = [place / name / LOCK_NAME for name in ("run", "state")]
    assert not held.lost(0.0)
    for lock in locks:
        os.utime(lock, (1.0, 1.0))
    assert not held.lost(TOUCH_INTERVAL - 1.0)
    assert [lock.stat().st_mtime for lock in locks] == [1.0, 1.0]
    assert not held.lost(TOUCH_INTERVAL)
    assert all(lock.stat().st_mtime > 1.0 for lock in locks)
    assert TOUCH_INTERVAL < 6 * 3600
    held.release()
