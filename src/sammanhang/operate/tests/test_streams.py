"""A server that stops finishes what it answers, and cuts what lasts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sammanhang.care.worklist import events
from sammanhang.operate import protocol


def connection(scope: dict[str, Any]) -> Any:
    closed: list[bool] = []
    return SimpleNamespace(
        cycle=SimpleNamespace(response_complete=False, scope=scope, keep_alive=True),
        transport=SimpleNamespace(close=lambda: closed.append(True)),
        closed=closed,
    )


@pytest.mark.parametrize(("scope", "cut"), [({}, False), ({events.STREAM: True}, True)])
def test_when_the_server_stops_a_stream_is_cut_and_an_answer_is_finished(scope, cut) -> None:
    assert events.STREAM == protocol.STREAM
    one = connection(scope)
    made = protocol.BoundedProtocol.__new__(protocol.BoundedProtocol)
    made.cycle, made.transport = one.cycle, one.transport
    made.shutdown()
    assert bool(one.closed) is cut
    assert one.cycle.keep_alive is cut  # an answer's connection ends after it
