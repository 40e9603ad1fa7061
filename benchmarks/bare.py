"""The ASGI entrance of a CloudNotes without history and feed, for ``make bench-history`` alone."""

from cloudnotes.asgi import application  # first: it sets Django up

# isort: split
from benchmarks import without_history

__all__ = ["application"]

without_history.leave_out()
