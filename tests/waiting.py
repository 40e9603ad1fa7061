"""Waiting for a state, never for a time: a machine may be busy for as long as it likes."""

import time
from collections.abc import Callable
from typing import TypeVar

# When a test gives up; no promise of the product.
TIMEOUT_SECONDS = 180

State = TypeVar("State")


def until(state: Callable[[], State], what: str) -> State:
    """Return the first true value of ``state``; raise ``AssertionError`` if there is none."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (value := state()):
        assert time.monotonic() < deadline, f"not in {TIMEOUT_SECONDS} s: {what}"
        time.sleep(0.02)
    return value
