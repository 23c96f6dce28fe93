"""Where an order about keys or tokens is carried out: by the daemon or, where none runs, in the files of its state.

Not here: the orders (`keys`, `tokens`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_actors.errors import ConfigurationError
from netmap_supervisor.admin.commands import CommandFailed, send_request
from netmap_supervisor.admin.subscriber_keys import somebody_elses, user_name
from netmap_supervisor.cli.parameters.option_flags import (
    any_runtime_dir_flag,
    config_file_flag,
    given_flags,
    state_dir_flag,
)
from netmap_supervisor.config.layers import Layer, load, without_service
from netmap_supervisor.system.single_instance import hidden, is_locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_supervisor.config.layers import Configuration
    from netmap_supervisor.config.settings import RunSettings

__all__ = ["failing", "of_a_daemon", "refuse_another_owner", "request"]


def of_a_daemon(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that say which daemon, or whose files."""
    return config_file_flag(state_dir_flag(any_runtime_dir_flag(function)))


def request(
    what: str,
    config_file: str | None,
    flags: dict[str, Any],
    words: dict[str, str],
    in_files: Callable[[RunSettings, dict[str, str]], dict[str, Any]],
) -> dict[str, Any]:
    """The result of the order `words`: of the daemon's command `what`, or of `in_files`. Raises CommandFailed."""
    configuration = load(given_flags(flags), without_service(os.environ), config_file=config_file)
    state_dir, directory = Path(configuration.value("state_dir")), Path(configuration.value("runtime_dir"))
    if is_locked(directory) and _is_meant(configuration, directory, state_dir):
        done: dict[str, Any] = send_request(directory, what, **words)
        return done
    if configuration.settings["state_dir"].layer is Layer.DEFAULT and (why := hidden(directory)) is not None:
        raise CommandFailed(why)
    return in_files(configuration.run_settings(log_format="json"), words)


def _is_meant(configuration: Configuration, directory: Path, state_dir: Path) -> bool:
    """Whether the daemon that runs there is the one whose state directory was named, if any was."""
    if configuration.settings["state_dir"].layer is Layer.DEFAULT:
        return True
    try:
        return state_dir.samefile(send_request(directory, "keys", do="where")["state_dir"])
    except OSError:
        return False  # missing, or not visible to us


def refuse_another_owner(places: list[Path], above: Path, command: str) -> None:
    """Raises CommandFailed where the directory is another user's, whom a file of ours would lock out."""
    owner = somebody_elses(places, above)
    if owner is None:
        return
    name, where = user_name(owner), places[-1] if places else above
    ways = []
    if places and is_locked(where):
        ways.append("name the --runtime-dir of the daemon that uses it, and the daemon does it")
    elif places:
        ways.append("start its daemon first, which then does it")
    if name is not None:
        ways.append(f"run it as that user: `sudo -u {name} netmap-supervisor {command} ...`")
    elif not places:
        ways.append("name a file in a directory of yours")
    raise CommandFailed(
        f"cannot write to {where}: it belongs to user {name or owner}, whom a file of yours would shut out; "
        + ", or ".join(ways)
    )


def failing(work: Callable[[], Any]) -> Any:
    """The result of `work`; a wrong name or key becomes CommandFailed, as it is no bad configuration."""
    try:
        return work()
    except PermissionError as error:
        raise CommandFailed(
            f"cannot open {error.filename}: {error.strerror}; use the user that the daemon runs as"
        ) from None
    except OSError as error:
        raise CommandFailed(f"cannot use {error.filename}: {error.strerror}") from None
    except ConfigurationError as error:
        raise CommandFailed(str(error)) from None
