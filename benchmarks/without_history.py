"""CloudNotes without its history and its feed, to measure what those two cost."""

from typing import Any

from notes import events
from notes.models import Revision


def leave_out() -> None:
    """Let nothing be recorded in this process from now on: no revision, no event, no feed."""

    def nothing(*args: Any, **options: Any) -> None:
        return None

    events.record = nothing
    Revision.save = nothing
