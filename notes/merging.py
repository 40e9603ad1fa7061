"""Merge two changes of the same text or value (three-way). No ORM, no HTTP."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from notes import differences
from notes.differences import Hunk

Value = TypeVar("Value")


class Overlap(Exception):
    """Both sides changed the same place in different ways; a person has to decide."""


def merge_value(*, base: Value, yours: Value, current: Value) -> Value:
    """Merge a value that has no parts, such as a title.

    Raises :class:`Overlap` if both sides changed it, unless both made the same change.
    """
    if yours in (base, current):
        return current
    if current == base:
        return yours
    raise Overlap


def merge_names(
    *, base: list[str], yours: list[str], current: list[str], key: Callable[[str], str]
) -> list[str]:
    """Merge lists of names: apply what either side has removed from or added to ``base``.

    Names with the same ``key`` are the same name; the spelling of ``current`` is kept.
    """
    base_keys, your_keys, current_keys = (
        {key(name) for name in names} for names in (base, yours, current)
    )
    remaining = [name for name in current if key(name) in your_keys or key(name) not in base_keys]
    return remaining + [name for name in yours if key(name) not in base_keys | current_keys]


def merge(*, base: str, yours: str, current: str) -> str:
    r"""Merge two texts by lines: return ``base`` with the changes of both sides.

    As ``git merge-file`` does: changes are those of :func:`notes.differences.hunks`. Two of them
    conflict if no unchanged line of ``base`` is between them, unless both sides have the same text
    there. Only ``\n`` ends a line. A last line without ``\n`` differs from the same line with it,
    so adding a line after it changes it.

    Raises :class:`Overlap`. Takes about two seconds for texts of 1 MiB in the worst case.
    """
    if yours in (base, current):
        return current
    if current == base:
        return yours
    base_lines, your_lines, current_lines = map(differences.lines, (base, yours, current))
    merged: list[str] = []
    done = 0
    for place in _places(
        differences.hunks(base_lines, your_lines), differences.hunks(base_lines, current_lines)
    ):
        start = place[0][1].old_start
        end = max(hunk.old_end for _, hunk in place)
        texts = [
            _text(side, made, start, end)
            for number, side in enumerate((your_lines, current_lines))
            if (made := [hunk for of, hunk in place if of == number])
        ]
        if len(texts) == 2 and texts[0] != texts[1]:
            raise Overlap
        merged += base_lines[done:start] + texts[0]
        done = end
    return "".join(merged + base_lines[done:])


def _places(yours: list[Hunk], current: list[Hunk]) -> Iterator[list[tuple[int, Hunk]]]:
    """Yield groups of hunks of both sides (0 and 1); hunks that touch in the base are together."""
    ordered = sorted(
        [(0, hunk) for hunk in yours] + [(1, hunk) for hunk in current],
        key=lambda each: (each[1].old_start, each[1].old_end),
    )
    place: list[tuple[int, Hunk]] = []
    end = 0
    for each in ordered:
        if place and each[1].old_start > end:
            yield place
            place = []
        place.append(each)
        end = max(end, each[1].old_end)
    if place:
        yield place


def _text(side: list[str], made: list[Hunk], start: int, end: int) -> list[str]:
    """Return the lines of a side for a range of the base that contains whole hunks of that side."""
    first, last = made[0], made[-1]
    low = first.new_start - (first.old_start - start)
    return side[low : last.new_end + (end - last.old_end)]
