"""Stopping a run when its state is whole."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class StopRequests:
    """Turns Ctrl-C and SIGTERM into a request that the loop honours between two steps, when its state is whole."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._request)
            except ValueError:  # only the main thread may set handlers; elsewhere the caller looks after stopping
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
