"""Holds a course: runs in threads what it wants run, until it is over.

Not here: what comes next and what counts (`course`), and one attempt (`attempt`).
"""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING

from netmap_supervisor.devtools.client_check.attempt import run_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from netmap_supervisor.devtools.client_check.course import Course
    from netmap_supervisor.devtools.client_check.outcome import Attempt, ScenarioOutcome
    from netmap_supervisor.devtools.client_check.place.place import Settings
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario

__all__ = ["log_path", "run_course"]

_ASK_EVERY = 0.2


def run_course(
    course: Course,
    settings: Settings,
    *,
    jobs: int,
    interrupted: Callable[[], bool],
    began: Callable[[str], None],
    waits: Callable[[str], None],
    done: Callable[[Sequence[ScenarioOutcome]], None],
) -> list[ScenarioOutcome]:
    """Every outcome that is known in the end, in the order of the table.

    `began(name)` is called at each attempt, `waits(name)` when there will be another one, `done(outcomes)` when
    scenarios are settled; all from this thread.
    """
    stop = threading.Event()
    done(course.skipped())
    running: dict[concurrent.futures.Future[Attempt | None], str] = {}
    tries: dict[str, int] = {}

    def run(scenario: CheckScenario, log: Path) -> Attempt | None:
        return run_attempt(scenario, settings, log, stop)

    with concurrent.futures.ThreadPoolExecutor(jobs, "scenario") as pool:
        try:
            while not course.over:
                for scenario in course.start():
                    began(scenario.name)
                    tries[scenario.name] = tries.get(scenario.name, 0) + 1
                    log = log_path(settings.output, scenario.name, tries[scenario.name])
                    running[pool.submit(run, scenario, log)] = scenario.name
                finished, _ = concurrent.futures.wait(
                    running, _ASK_EVERY, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in finished:
                    name = running.pop(future)
                    attempt = future.result()
                    settled = course.ended(name, attempt)
                    if attempt is not None and not settled:
                        waits(name)
                    done(settled)
                if interrupted():
                    course.stop()
                    stop.set()
        finally:
            stop.set()  # whatever failed here: no thread goes on
    return course.outcomes()


def log_path(output: Path, name: str, attempt: int = 1) -> Path:
    """Of what the client prints in one attempt: `liveness.silence.log`, `liveness.silence.again.log`."""
    again = ".again" if attempt > 1 else ""
    return output / f"{name.replace('/', '.')}{again}.log"
