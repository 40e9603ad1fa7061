import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notes import merging
from tests.conftest import leg

OVERLAP = "overlap"
SIZE = 20_000


def merged(base, yours, current):
    try:
        return merging.merge(base=base, yours=yours, current=current)
    except merging.Overlap:
        return OVERLAP


def text(letters):
    """Return a line for each letter, where the last has no end if a dot follows."""
    whole = "".join(f"{letter}\n" for letter in letters.removesuffix("."))
    return whole.removesuffix("\n") if letters.endswith(".") else whole


@pytest.mark.parametrize(
    ("base", "yours", "current", "result"),
    [
        ("abc", "abc", "abc", "abc"),
        ("abc", "xbc", "abc", "xbc"),
        ("abc", "abc", "abx", "abx"),
        ("abc", "xbc", "abx", "xbx"),
        ("abc", "bc", "abcx", "bcx"),
        ("abcde", "ace", "abcdex", "acex"),
        ("abcde", "ace", "abcdxe", OVERLAP),
        # The same change on both sides is made once.
        ("abc", "axc", "axc", "axc"),
        ("abcde", "axcde", "axcdy", "axcdy"),
        ("abc", "", "", ""),
        # The same place in different ways, or side by side: no unchanged line is between.
        ("abc", "axc", "ayc", OVERLAP),
        ("abc", "axc", "ac", OVERLAP),
        ("abcd", "axcd", "abyd", OVERLAP),
        ("abcd", "xabcd", "yabcd", OVERLAP),
        ("abcd", "acd", "abxcd", OVERLAP),
        ("abcde", "axxxe", "abyde", OVERLAP),
        # An unchanged line between is enough.
        ("abc", "xbc", "aby", "xby"),
        # One side has the other's change and more in the same place.
        ("abc", "axc", "axyc", OVERLAP),
        ("", "a", "", "a"),
        ("", "a", "a", "a"),
        ("", "a", "b", OVERLAP),
        ("a", "", "b", OVERLAP),
        # The last line without an end is another line.
        ("ab", "ab.", "ab", "ab."),
        ("abc", "xbc", "abc.", "xbc."),
        ("abc.", "xbc.", "abcd", "xbcd"),
        ("abc.", "abc", "abcd", OVERLAP),
        ("abc", "abc.", "abcd", OVERLAP),
    ],
)
def test_merge(base, yours, current, result):
    result = result if result == OVERLAP else text(result)
    assert merged(text(base), text(yours), text(current)) == result
    assert merged(text(base), text(current), text(yours)) == result


def test_only_a_newline_ends_a_line():
    base = "a\rb\x0bc\u2028d\n\n\ne\r\n"
    assert merged(base, base.replace("a", "x"), base.replace("d", "y")) == OVERLAP
    assert merged(base, base.replace("a", "x"), base.replace("e", "y")) == (
        "x\rb\x0bc\u2028d\n\n\ny\r\n"
    )


@pytest.mark.parametrize(
    ("base", "yours", "current", "result"),
    [
        ("a", "a", "a", "a"),
        ("a", "b", "a", "b"),
        ("a", "a", "b", "b"),
        ("a", "b", "b", "b"),
        ("a", "b", "c", OVERLAP),
        ("a", "b", "", OVERLAP),
        (None, 1, None, 1),
    ],
)
def test_merge_value(base, yours, current, result):
    if result == OVERLAP:
        with pytest.raises(merging.Overlap):
            merging.merge_value(base=base, yours=yours, current=current)
    else:
        assert merging.merge_value(base=base, yours=yours, current=current) == result


def edited(lines, edits=(), *, is_ended=True):
    """Return a text after edits in turn: place in tenths, lines removed, lines inserted."""
    lines = list(lines)
    for place, removed, inserted in edits:
        place = len(lines) * place // 10
        lines[place : place + removed] = inserted
    whole = "\n".join(lines)
    return whole + "\n" if is_ended and whole else whole


# Mostly distinct: a base line and an inserted one are never alike, two inserted ones may be.
INSERTED = st.lists(st.integers(0, 40).map("new {}".format) | st.just("x"), max_size=3)
EDITS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 3), INSERTED), max_size=3)
DOCUMENTS = st.tuples(
    st.integers(0, 30), EDITS, EDITS, EDITS, *[st.sampled_from([True, True, False])] * 3
)


@pytest.mark.service
@given(DOCUMENTS)
@settings(max_examples=200)
def test_it_merges_as_git_does(tmp_path_factory, drawn):
    git = leg("git")
    size, shared, mine, theirs, *ended = drawn
    lines = [f"line {number}" for number in range(size)]
    base = edited(lines, is_ended=ended[0])
    yours = edited(lines, [*shared, *mine], is_ended=ended[1])
    current = edited(lines, [*shared, *theirs], is_ended=ended[2])
    folder = tmp_path_factory.getbasetemp() / "merge"
    folder.mkdir(exist_ok=True)
    for name, content in (("base", base), ("yours", yours), ("current", current)):
        (folder / name).write_bytes(content.encode())
    run = subprocess.run(
        [git, "merge-file", "-p", "-q", "yours", "base", "current"],
        cwd=folder,
        env={"GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_CONFIG_GLOBAL": "/dev/null"},
        capture_output=True,
    )
    assert run.returncode < 128, run.stderr
    result = OVERLAP if run.returncode else run.stdout.decode()
    assert merged(base, yours, current) == result


FEW = st.lists(st.sampled_from(["a", "b", ""]), max_size=12)


REPETITIVE = st.builds(lambda lines, is_ended: edited(lines, is_ended=is_ended), FEW, st.booleans())


@given(REPETITIVE, REPETITIVE, REPETITIVE)
@settings(max_examples=400)
def test_what_holds_for_lines_that_repeat(base, yours, current):
    assert merged(base, base, yours) == yours
    assert merged(base, yours, base) == yours
    assert merged(base, yours, yours) == yours
    assert merged(base, yours, current) == merged(base, current, yours)


@given(FEW, st.data())
@settings(max_examples=300)
def test_a_clean_merge_loses_no_change(base, data):
    # Lines of the base that occur once are known by their number, the rest repeat.
    base = [f"{line}{number}" if number % 3 == 0 else line for number, line in enumerate(base)]
    sides, wanted, gone = [], set(), set()
    for side in ("mine", "theirs"):
        lines = list(base)
        for number in range(data.draw(st.integers(0, 3))):
            place = data.draw(st.integers(0, len(lines)))
            if data.draw(st.booleans()):
                lines.insert(place, f"{side} {number}")
                wanted.add(f"{side} {number}")
            elif place < len(lines) and lines[place] in base:
                if lines[place][-1:].isdigit():
                    gone.add(lines[place])
                del lines[place]
        sides.append(edited(lines))
    result = merged(edited(base), *sides)
    if result != OVERLAP:
        lines = set(result.split("\n"))
        assert wanted <= lines
        assert not gone & lines


def test_hostile_texts_end_and_lose_nothing():
    draw = random.Random(1)
    base = "".join(draw.choices(["a\n", "b\n", "\n"], k=SIZE))
    other = "".join(draw.choices(["a\n", "b\n", "\n"], k=SIZE))
    assert merged(base, other, base) == other
    assert merged(base, other, base + "c\n") in (OVERLAP, other + "c\n")
    distinct = [f"{number}\n" for number in range(SIZE)]
    swapped = [distinct[i ^ 1] for i in range(SIZE)]
    middle = [*distinct[: SIZE // 2], "new\n", *distinct[SIZE // 2 :]]
    assert merged("".join(distinct), "".join(swapped), "".join(middle)) == OVERLAP
    rest = ["".join(part) for part in (distinct[:-2], swapped[:-2])]
    same = "".join(distinct[-2:])
    assert merged(rest[0] + same, rest[1] + same, rest[0] + same + "end\n") == (
        rest[1] + same + "end\n"
    )
