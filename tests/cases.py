"""Many cases in one test, where each alone would cost more to set up than to check."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Case = TypeVar("Case")


def failures(cases: Mapping[str, Case], check: Callable[[Case], object]) -> dict[str, str]:
    """Check every case and return what is wrong with those that fail, by name.

    What is raised that is no failed assertion goes on, with a note that names the case.
    """
    failed = {}
    for name, case in cases.items():
        try:
            check(case)
        except AssertionError as error:
            failed[name] = str(error) or repr(error)
        except BaseException as error:
            error.add_note(f"In the case {name!r}.")
            raise
    return failed
