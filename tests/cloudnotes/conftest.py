"""The toy application and the port where it is served."""

from collections.abc import Iterator

import pytest

from tests.cloudnotes.toy import Toy, serving


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def port(toy: Toy) -> Iterator[int]:
    with serving(toy) as port:
        yield port
        toy.release.set()
