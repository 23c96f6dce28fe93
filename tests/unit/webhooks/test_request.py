"""The answer to a webhook's request: its status, whatever comes with it and however it is cut."""

from __future__ import annotations

import pytest

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.web_url import WebUrl
from netmap_actors.webhooks.bodies import Body
from netmap_actors.webhooks.delivery import Outcome
from netmap_actors.webhooks.request import PostRequest


def a_request() -> PostRequest:
    url = WebUrl.parse("https://hooks.example.com/T0/s3cr3t")
    made = PostRequest(url, Body("application/json", b"{}"), secret=None, agent="test", wall=1.0)
    made.data_to_send()
    return made


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 2\r\n\r\nok",  # Slack's
        b"Content-Type: text/plain\r\n\r\nok, until the connection ends",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nno length\r\nok",
        b"Content-Length: 0\r\n\r\nHTTP/1.1 500 another\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("status", [200, 201, 302, 500])
@pytest.mark.parametrize("at_once", [True, False])
def test_of_the_answer_only_the_status_is_read(rest: bytes, status: int, at_once: bool) -> None:
    answer = b"HTTP/1.1 %d \r\n" % status + rest
    request = a_request()
    pieces = [answer] if at_once else [bytes([byte]) for byte in answer]
    found = next(filter(None, map(request.receive, pieces)))
    assert found == Outcome(status=status)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000,
    ],
)
def test_what_has_no_status_or_no_end_is_no_answer(answer: bytes) -> None:
    request = a_request()
    with pytest.raises(RemoteProtocolError):
        request.receive(answer)
        request.eof()
