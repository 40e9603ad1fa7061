"""What a mutant is."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A single deliberate fault, which breaks one promise of the product.

    In the file ``path`` the text ``old``, which occurs there once, becomes ``new``. Then at least
    one of ``tests`` has to fail: test files, or node ids without parameters. ``leg`` names the
    database that shows the fault: "sqlite" or "postgresql".
    """

    name: str
    promise: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    leg: str = "sqlite"
