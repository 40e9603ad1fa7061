"""How long the long tests are: a short form in every run, the full one as ``make test-long``."""

import os

IS_FULL = os.environ.get("TEST_LENGTH") == "full"


def length(*, short: int, full: int) -> int:
    """Return how often something is done in this run."""
    return full if IS_FULL else short
