"""One webhook in its process: its machine, its standing on disk, its question to the history and its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.webhooks.delivery import Delivery, OccurrencePage, Outcome
from netmap_actors.webhooks.sender import OutOfReach
from netmap_actors.webhooks.standing_file import BrokenStanding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.bus.loop import Loop
    from netmap_actors.clock import Clock
    from netmap_actors.history.answers import Answer
    from netmap_actors.process.child_log import ChildLog
    from netmap_actors.webhooks.delivery import WantedPage
    from netmap_actors.webhooks.events import WebhookEvent
    from netmap_actors.webhooks.sender import WebhookRequest
    from netmap_actors.webhooks.spec import WebhookSpec
    from netmap_actors.webhooks.standing_file import StandingFile

__all__ = ["FAILING_LIMIT", "QUESTION_WAIT", "Ask", "Dispatcher", "Post"]

QUESTION_WAIT: Final = 50.0
"""Seconds that the history may wait for something to tell."""
ASK_AGAIN: Final = 10.0
"""Seconds after which a question is put again that the history cannot answer now, or that it should have answered."""
_UNREAD: Final = "the history cannot be read, and what happens is told when it can"
FAILING_LIMIT: Final = 120.0
"""Seconds of failures after which a webhook is shown as degraded."""


class Ask(Protocol):
    """Puts a question and says its token; `lost`: the one before is not answered any more."""

    def __call__(self, asker: Dispatcher, question: HistoryQuestion, *, lost: bool) -> int: ...


class Post(Protocol):
    """Starts a request; raises OutOfReach."""

    def __call__(
        self, spec: WebhookSpec, events: Sequence[WebhookEvent], on_done: Callable[[Outcome], object]
    ) -> WebhookRequest: ...


class Dispatcher:
    """One webhook. Made with what its process gives it; `turn` is called first, and after each answer."""

    def __init__(
        self,
        spec: WebhookSpec,
        file: StandingFile,
        *,
        loop: Loop,
        clock: Clock,
        log: ChildLog,
        jitter: Callable[[], float],
        tailnet: str,
        ask: Ask,
        post: Post,
        out_of_reach: Callable[[str], bool],
        show: Callable[[str, str | None], None],
        changed: Callable[[], None],
    ) -> None:
        """`out_of_reach(why)`: whether another process is let in to what this one may not; `show(code, text)`: a
        condition, None: it no longer holds; `changed`: figures of interest did.
        """
        self.spec = spec
        self._file = file
        self._loop, self._clock, self._log = loop, clock, log
        self._ask, self._post, self._out_of_reach = ask, post, out_of_reach
        self._show, self._changed = show, changed
        self._asked: WantedPage | None = None
        self._token = 0
        self._ask_due = loop.deadline(self._ask_again)
        self._due = loop.deadline(self.turn)
        self._request: WebhookRequest | None = None
        self._failing = self._unwritten = self._unread = False
        self._given_up = 0
        try:
            standing = file.read()
        except BrokenStanding as error:
            standing = None
            log.warning("webhook_standing_broken", webhook=spec.name, detail=str(error))
        self._delivery = Delivery(spec, standing, jitter=jitter, tailnet=tailnet)
        if standing is not None:
            self._given_up = standing.given_up + standing.lost

    @property
    def delivery(self) -> Delivery:
        """Its machine, to be looked at."""
        return self._delivery

    def failure(self) -> str:
        """Why nothing is told now: what came of the last request, or else that nothing is heard; "" for neither."""
        failed = self._delivery.figures(self._loop.now()).failure
        return failed or (_UNREAD if self._unread else "")

    def close(self) -> None:
        """Give up what is under way; the standing is that of before it."""
        self._due.set(None)
        self._ask_due.set(None)
        if self._request is not None:
            self._request.cancel()

    def turn(self) -> None:
        """Do what is due."""
        now = self._loop.now()
        self._write()
        while self._request is None and (send := self._delivery.send(now)) is not None:
            self._write()
            try:
                self._request = self._post(self.spec, send.events, self._done)
            except OutOfReach as error:
                if self._out_of_reach(str(error)):
                    return
                self._take(Outcome(failure=str(error), sent=False))
        self._put_question()
        self._look()
        self._due.set(self._delivery.wake_at())

    def answered(self, token: int, answer: Answer | None) -> None:
        """The history has answered; None: it cannot now."""
        if token != self._token or self._asked is None:
            return
        asked = self._asked
        if self._unread is not (answer is None):
            self._unread = answer is None
            self._changed()
        if answer is None:
            self._ask_due.set(self._loop.now() + ASK_AGAIN)
            return
        self._asked = None
        self._ask_due.set(None)
        page = OccurrencePage(
            history=answer.file,
            after_id=asked.after_id,
            oldest=answer.oldest_id,
            newest=answer.newest_id,
            occurrences=answer.occurrences,
            whole=not answer.more,
            tags=answer.tags,
        )
        self._delivery.read(page, wall=self._clock.wall(), now=self._loop.now())
        self.turn()

    def ask_again(self) -> None:
        """The history is another one: it does not know what it was asked."""
        if self._asked is not None:
            self._ask_again()

    def _ask_again(self) -> None:
        self._asked = None
        self._put_question(lost=True)

    def _put_question(self, *, lost: bool = False) -> None:
        wanted = self._delivery.wanted()
        if wanted is None or wanted == self._asked:
            return
        self._asked = wanted
        wait = QUESTION_WAIT if wanted.wait else 0.0
        question = HistoryQuestion(
            after_id=wanted.after_id,
            file=wanted.history,
            most=wanted.most,
            oldest=True,
            lanes=False,
            tags=True,
            wait=wait,
        )
        self._token = self._ask(self, question, lost=lost)
        self._ask_due.set(self._loop.now() + wait + ASK_AGAIN)

    def _done(self, outcome: Outcome) -> None:
        self._request = None
        self._take(outcome)
        self.turn()

    def _take(self, outcome: Outcome) -> None:
        self._delivery.done(outcome, wall=self._clock.wall(), now=self._loop.now())
        self._write()
        figures = self._delivery.figures(self._loop.now())
        if bool(figures.failure) != self._failing:
            self._failing = bool(figures.failure)
            if self._failing:
                self._log.warning("webhook_failed", webhook=self.spec.name, detail=figures.failure)
            else:
                self._log.info("webhook_delivers", webhook=self.spec.name)
        self._changed()

    def _write(self) -> None:
        standing = self._delivery.to_write(self._loop.now())
        if standing is None and not self._unwritten:
            return
        try:
            self._file.write(standing or self._delivery.standing)
        except OSError as error:
            self._unwritten = True
            # No name of a webhook makes this the code of one that fails.
            self._show(
                f"webhooks_standing_{self.spec.name}",
                f"cannot write the standing of webhook {self.spec.name}: {error.strerror}; after a restart it is told "
                "some events again",
            )
        else:
            self._unwritten = False
            self._show(f"webhooks_standing_{self.spec.name}", None)

    def _look(self) -> None:
        """Say what is given up, and show what fails for long."""
        standing, name = self._delivery.standing, self.spec.name
        if (gone := standing.given_up + standing.lost) > self._given_up:
            self._log.warning("webhook_gave_up", webhook=name, events=gone - self._given_up)
            self._given_up = gone
        self._show_failing()

    def look(self) -> None:
        """Show whether it fails for long, and write what could not be written; to be called now and then."""
        self._write()
        self._show_failing()

    def _show_failing(self) -> None:
        figures = self._delivery.figures(self._loop.now())
        failing = bool(figures.failure) and figures.failing_for >= FAILING_LIMIT
        self._show(
            f"webhook_{self.spec.name}",
            f"webhook {self.spec.name} delivers nothing: {figures.failure}; it is tried again"
            if failing
            else None,
        )
