"""The differences between two texts, line by line. No ORM, no HTTP.

How it works: each distinct line gets a number, so that two texts become two lists of numbers, `a`
and `b`. Equal lines at the beginning and the end are cut off (:func:`_trimmed`). Lines that only
one side has are changed. For the rest, :class:`_Search` keeps a list of boxes (a range of `a` and a
range of `b`) and divides each box at a point that a shortest edit script passes through (Myers); if
that is too expensive, at lines that occur once on both sides (patience). A box that cannot be
divided is changed as a whole. At last :func:`_slid` moves groups of changed lines to where git
would have them, and :func:`hunks` pairs the groups of both sides.

A person who may write a note chooses both texts, so every step has a limit that does not depend on
their content. The cost of difflib, or of a search without limits, grows at least with the square of
the number of lines when there are few distinct lines in random order.
"""

import io
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Limits of one comparison: steps of the search for the shortest script, lines read for anchors,
# and lines that the changes of a side are moved over. Together about half a second of CPU.
SEARCH_STEPS = 1_500_000
ANCHOR_LINES = 800_000
SLIDES = 500_000
CALL_COST = 20  # steps, or lines, that each call of a search costs, however small its box

NO_NEWLINE = "\\ No newline at end of file\n"
_BEYOND = 1 << 60


@dataclass(frozen=True)
class Hunk:
    """Lines ``old_start`` to ``old_end`` became ``new_start`` to ``new_end``; from 0, half open."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def lines(text: str) -> list[str]:
    r"""Return the lines of a text with their ends; only ``\n`` ends one, unlike in splitlines."""
    return list(io.StringIO(text, newline="\n"))


def hunks(old: Sequence[str], new: Sequence[str]) -> list[Hunk]:
    """Return the changed regions of two lists of lines, in order, with equal lines between them.

    The edit script is the shortest one, as git finds it: Myers, "An O(ND) Difference Algorithm and
    Its Variations" (1986), the linear variant, with changes moved down as far as possible. If that
    costs too much, lines that occur once on both sides divide the texts ("patience"); if there are
    none, the whole region counts as changed. The cost is at most linear in the lines plus a
    constant: about a second for 1 MiB against 1 MiB in the worst case.
    """
    numbers: dict[str, int] = {}
    a = [numbers.setdefault(line, len(numbers)) for line in old]
    b = [numbers.setdefault(line, len(numbers)) for line in new]
    removed, added = _changed(a, b)
    removed = _slid(a, removed, added)
    added = _slid(b, added, removed)
    changes, old_offset, new_offset = [], 0, 0
    for unchanged in sorted(removed.keys() | added.keys()):
        old_length, new_length = removed.get(unchanged, 0), added.get(unchanged, 0)
        old_start, new_start = unchanged + old_offset, unchanged + new_offset
        changes.append(Hunk(old_start, old_start + old_length, new_start, new_start + new_length))
        old_offset, new_offset = old_offset + old_length, new_offset + new_length
    return changes


def unified(old: str, new: str, *, old_name: str, new_name: str, context: int = 3) -> str:
    r"""Return what ``diff -u`` prints (POSIX diff, 2008, -U), '' if the texts are equal.

    ``context`` is the number of unchanged lines shown around a change. Names are written as git
    writes them: in quotes if a character would break the header. Only ``\n`` ends a line.
    """
    before, after = lines(old), lines(new)
    changes = hunks(before, after)
    if not changes:
        return ""
    parts = [f"--- {_header(old_name)}\n", f"+++ {_header(new_name)}\n"]
    for cluster in _clusters(changes, context):
        first, last = cluster[0], cluster[-1]
        lead = min(context, first.old_start)
        trail = min(context, len(before) - last.old_end)
        place = first.old_start - lead
        old_range = _range(place, last.old_end + trail)
        new_range = _range(first.new_start - lead, last.new_end + trail)
        parts.append(f"@@ -{old_range} +{new_range} @@\n")
        for hunk in cluster:
            parts += [_marked(" ", line) for line in before[place : hunk.old_start]]
            parts += [_marked("-", line) for line in before[hunk.old_start : hunk.old_end]]
            parts += [_marked("+", line) for line in after[hunk.new_start : hunk.new_end]]
            place = hunk.old_end
        parts += [_marked(" ", line) for line in before[place : place + trail]]
    return "".join(parts)


def _clusters(changes: list[Hunk], context: int) -> Iterator[list[Hunk]]:
    """Yield the hunks in lists that share a header because their context touches."""
    cluster = changes[:1]
    for hunk in changes[1:]:
        if hunk.old_start - cluster[-1].old_end > 2 * context:
            yield cluster
            cluster = []
        cluster.append(hunk)
    yield cluster


def _range(start: int, end: int) -> str:
    """Return a range, from 0 and half open, in the notation of a hunk's header.

    An empty range names the line before it.
    """
    if end - start == 1:
        return f"{start + 1}"
    return f"{start + 1 if end > start else start},{end - start}"


def _marked(mark: str, line: str) -> str:
    return mark + line if line.endswith("\n") else f"{mark}{line}\n{NO_NEWLINE}"


def _header(name: str) -> str:
    """Return a file name for a header: quoted as in C if necessary, with a tab if it has blanks."""
    if any(char in '"\\\x7f' or char < " " for char in name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return (
            '"' + "".join(f"\\{ord(c):03o}" if c < " " or c == "\x7f" else c for c in escaped) + '"'
        )
    return f"{name}\t" if " " in name else name


def _changed(a: list[int], b: list[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Return for each side the lengths of the changed runs, by the number of equal lines before."""
    a_low, a_high, b_low, b_high = _trimmed(a, 0, len(a), b, 0, len(b))
    # A line that the other side does not have is always changed, as in git.
    in_a, in_b = set(a), set(b)
    a_places = [i for i in range(a_low, a_high) if a[i] in in_b]
    b_places = [j for j in range(b_low, b_high) if b[j] in in_a]
    a_same, b_same = bytearray(b"\1") * len(a), bytearray(b"\1") * len(b)
    a_same[a_low:a_high], b_same[b_low:b_high] = (
        bytes(a_high - a_low),
        bytes(b_high - b_low),
    )
    search = _Search([a[i] for i in a_places], [b[j] for j in b_places])
    for i, j, length in search.matches():
        for step in range(length):
            a_same[a_places[i + step]] = b_same[b_places[j + step]] = 1
    return _runs(a_same), _runs(b_same)


def _trimmed(
    a: list[int], a_low: int, a_high: int, b: list[int], b_low: int, b_high: int
) -> tuple[int, int, int, int]:
    """Return two ranges without the equal lines at their beginnings and ends."""
    while a_low < a_high and b_low < b_high and a[a_low] == b[b_low]:
        a_low += 1
        b_low += 1
    while a_low < a_high and b_low < b_high and a[a_high - 1] == b[b_high - 1]:
        a_high -= 1
        b_high -= 1
    return a_low, a_high, b_low, b_high


def _runs(same: bytearray) -> dict[int, int]:
    runs: dict[int, int] = {}
    changed = 0
    start = same.find(0)
    while start >= 0:
        end = same.find(1, start)
        end = len(same) if end < 0 else end
        runs[start - changed] = end - start
        changed += end - start
        start = same.find(0, end)
    return runs


def _slid(rows: list[int], groups: dict[int, int], others: dict[int, int]) -> dict[int, int]:
    """Return the groups of changed lines, moved to where git would have them (xdl_change_compact).

    A group may move over a line if that line equals the one that it leaves at its other end. Each
    group moves to the last place where the other side has a change too, else down as far as it can.
    Groups that meet are joined. A key is the number of equal lines before the group.
    """
    slides = SLIDES
    todo = sorted(groups.items(), reverse=True)
    done: list[tuple[int, int]] = []
    before = 0  # lines in the groups that are done
    while todo:
        place, size = todo.pop()
        grown = True
        while grown:
            size_before, aligned = size, -1
            while place and slides and rows[place + before - 1] == rows[place + before + size - 1]:
                slides -= 1
                place -= 1
                if done and done[-1][0] == place:
                    length = done.pop()[1]
                    size += length
                    before -= length
            if place in others:
                aligned = place
            end = place + before + size
            while end < len(rows) and slides and rows[end] == rows[end - size]:
                slides -= 1
                place += 1
                if todo and todo[-1][0] == place:
                    size += todo.pop()[1]
                if place in others:
                    aligned = place
                end = place + before + size
            grown = size != size_before
        place = aligned if aligned >= 0 else place
        done.append((place, size))
        before += size
    return dict(done)


class _Search:
    """Finds the equal runs of two lists of numbers, within the limits above."""

    def __init__(self, a: list[int], b: list[int]) -> None:
        self.a, self.b = a, b
        self.steps, self.to_scan = SEARCH_STEPS, ANCHOR_LINES
        # The line of a reached on each diagonal, from the beginning and from the end.
        self.forward = [0] * (len(a) + len(b) + 3)
        self.backward = self.forward.copy()

    def matches(self) -> Iterator[tuple[int, int, int]]:
        """Yield runs of equal lines: line of a, line of b, number of lines. They do not overlap."""
        a, b = self.a, self.b
        boxes = [(0, len(a), 0, len(b))]
        while boxes:
            left, right, top, bottom = boxes.pop()
            a_low, a_high, b_low, b_high = _trimmed(a, left, right, b, top, bottom)
            if a_low > left:
                yield left, top, a_low - left
            if a_high < right:
                yield a_high, b_high, right - a_high
            if a_low == a_high or b_low == b_high:
                continue
            # At most half of the steps left, so that one expensive box does not use up all.
            middle = self._middle(a_low, a_high, b_low, b_high, self.steps // 2)
            corners = [middle] if middle else self._anchors(a_low, a_high, b_low, b_high)
            if corners:
                i, j = a_low, b_low
                for k, m in (*corners, (a_high, b_high)):
                    if i < k and j < m:
                        boxes.append((i, k, j, m))
                    i, j = k, m

    def _middle(
        self, a_low: int, a_high: int, b_low: int, b_high: int, limit: int
    ) -> tuple[int, int] | None:
        """Return a point that a shortest script passes through; None after ``limit`` steps.

        If there are several such points, it is the one that git takes (xdl_split).
        """
        a, b, forward, backward = self.a, self.b, self.forward, self.backward
        shift = len(b) + 1  # of diagonals, which are numbered line of a - line of b
        lowest, highest = a_low - b_high + shift, a_high - b_low + shift
        first = first_low = first_high = a_low - b_low + shift
        last = last_low = last_high = a_high - b_high + shift
        is_odd = (first - last) % 2 == 1
        forward[first], backward[last] = a_low, a_high
        left = limit - CALL_COST
        while left > 0:
            if first_low > lowest:
                first_low -= 1
                forward[first_low - 1] = -1
            else:
                first_low += 1
            if first_high < highest:
                first_high += 1
                forward[first_high + 1] = -1
            else:
                first_high -= 1
            for k in range(first_high, first_low - 1, -2):
                i = max(forward[k - 1] + 1, forward[k + 1])
                start = i
                j = i - k + shift
                while i < a_high and j < b_high and a[i] == b[j]:
                    i += 1
                    j += 1
                forward[k] = i
                left -= i - start + 2
                if is_odd and last_low <= k <= last_high and backward[k] <= i:
                    self.steps -= limit - left
                    return i, j
                if left <= 0:
                    break
            if last_low > lowest:
                last_low -= 1
                backward[last_low - 1] = _BEYOND
            else:
                last_low += 1
            if last_high < highest:
                last_high += 1
                backward[last_high + 1] = _BEYOND
            else:
                last_high -= 1
            for k in range(last_high, last_low - 1, -2):
                i = min(backward[k - 1], backward[k + 1] - 1)
                start = i
                j = i - k + shift
                while i > a_low and j > b_low and a[i - 1] == b[j - 1]:
                    i -= 1
                    j -= 1
                backward[k] = i
                left -= start - i + 2
                if not is_odd and first_low <= k <= first_high and i <= forward[k]:
                    self.steps -= limit - left
                    return i, j
                if left <= 0:
                    break
        self.steps -= limit - left
        return None

    def _anchors(self, a_low: int, a_high: int, b_low: int, b_high: int) -> list[tuple[int, int]]:
        """Return the longest ordered sequence of lines that occur once on both sides.

        Patience sorting: Fredman, "On computing the length of longest increasing subsequences"
        (1975). [] if there are none or the limit of lines is used up.
        """
        cost = a_high - a_low + b_high - b_low + CALL_COST
        if cost > self.to_scan:
            return []
        self.to_scan -= cost
        part = self.b[b_low:b_high]
        in_a, in_b = Counter(self.a[a_low:a_high]), Counter(part)
        places = {line: j for j, line in enumerate(part, b_low) if in_b[line] == 1}
        tails: list[int] = []  # the least line of b that ends a sequence of each length
        links: list[tuple[int, int, int]] = []  # line of a, of b, index of the link before
        ends: list[int] = []
        for i in range(a_low, a_high):
            line = self.a[i]
            if in_a[line] != 1 or line not in places:
                continue
            j = places[line]
            length = bisect_left(tails, j)
            if length == len(tails):
                tails.append(j)
                ends.append(len(links))
            else:
                tails[length], ends[length] = j, len(links)
            links.append((i, j, ends[length - 1] if length else -1))
        anchors = []
        index = ends[-1] if ends else -1
        while index >= 0:
            i, j, index = links[index]
            anchors.append((i, j))
        return anchors[::-1]
