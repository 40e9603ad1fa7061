"""Names in the environment: those that settings read, older ones, and those that are nearly one.

A name that is not known is not read, and nothing says so. So names that are nearly one of ours are
reported at the start (:mod:`cloudnotes.checks`); all others belong to the machine.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import environ

# Names of the first generation and of earlier releases, with ours, which win.
ALIASES = {
    "JWT_ALGORITHM": "ALGORITHM",
    "JWT_EXPIRES_MINUTES": "ACCESS_TOKEN_EXPIRE_MINUTES",
    "FAST_ROAD": "FAST_PATH",
}
# Each has many names, of which we read a few: another one of theirs is not misspelt.
PLATFORMS = ("AWS_", "RAILWAY_")
# JWT_SECRET_KEY is near to JWT_SECRET, DATABASE_PORT is not near to DATABASE_URL. Names that are
# shorter than DATA_DIR are near to too many others.
NEARNESS = 0.83
SHORTEST = 8
DRIVER = re.compile(r"^(postgres|postgresql|sqlite)\+\w+(?=://)")


class Environment(environ.Env):
    """An ``environ.Env`` that collects in ``names`` the names that are read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """Return the value of a variable; see ``environ.Env.get_value``."""
        self.names.add(var)
        return super().get_value(var, *args, **kwargs)


def plain_database_url(url: str) -> str:
    """Return a URL as it is without SQLAlchemy's driver, such as ``+asyncpg``.

    Drivers are ours. What asyncpg calls ``ssl`` is libpq's ``sslmode``, with the same values.
    """
    plain, drivers = DRIVER.subn(r"\1", url)
    return re.sub(r"([?&])ssl=", r"\1sslmode=", plain) if drivers else url


def near_names(environment: Iterable[str], read: Iterable[str]) -> dict[str, str]:
    """Return names of the environment that nothing reads, with the name that each nearly is.

    ``read`` are the names that settings read. A name that is set already was not misspelt.
    """
    present, known = set(environment), set(read)
    meant = {
        name: ALIASES.get(name, name)
        for name in known
        if len(name) >= SHORTEST and not name.startswith(PLATFORMS)
    }
    targets = [name for name, ours in meant.items() if not {name, ours} & present]
    near = {}
    for name in sorted(present - known):
        for match in difflib.get_close_matches(name.upper(), targets, n=1, cutoff=NEARNESS):
            near[name] = meant[match]
    return near


def contradictions(environment: Mapping[str, str]) -> dict[str, str]:
    """Return aliases that are set to something else than our name, with our name."""
    return {
        alias: name
        for alias, name in ALIASES.items()
        if environment.get(alias)
        and environment.get(name)
        and environment[alias] != environment[name]
    }
