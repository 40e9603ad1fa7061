import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notes import differences
from notes.differences import Hunk
from tests.conftest import leg

# Few of them, so that texts have lines in common, and what other tools take for a line's end.
LINES = st.sampled_from(
    ["", "a", "b", "c", " ", "\r", "a\r", "x\u2028y", "\x0b", "-- a", "@@", "\\"]
)
TEXTS = st.tuples(st.lists(LINES, max_size=12), st.booleans()).map(
    lambda drawn: "\n".join(drawn[0]) + "\n" * drawn[1]
)
SIZE = 20_000


def hunks(old, new):
    return differences.hunks(list(old), list(new))


def check(old, new):
    """Assert that what is not in a hunk is equal, and that hunks are maximal; return them."""
    found = differences.hunks(old, new)
    place = old_place = 0
    for number, hunk in enumerate(found):
        assert hunk.old_start > old_place or number == 0
        assert old[old_place : hunk.old_start] == new[place : hunk.new_start]
        assert (hunk.old_end, hunk.new_end) > (hunk.old_start, hunk.new_start)
        old_place, place = hunk.old_end, hunk.new_end
    assert old[old_place:] == new[place:]
    return found


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "", []),
        ("abc", "abc", []),
        ("", "ab", [Hunk(0, 0, 0, 2)]),
        ("ab", "", [Hunk(0, 2, 0, 0)]),
        ("abc", "axc", [Hunk(1, 2, 1, 2)]),
        ("abcd", "xbcdy", [Hunk(0, 1, 0, 1), Hunk(4, 4, 4, 5)]),
        # Which of equal lines came cannot be known: the last, as in git.
        ("abc", "abbc", [Hunk(2, 2, 2, 3)]),
        # A change slides down, but not away from one of the other side.
        ("xaay", "xay", [Hunk(2, 3, 2, 2)]),
    ],
)
def test_what_changed(old, new, found):
    assert hunks(old, new) == found


@given(st.lists(LINES, max_size=30), st.lists(LINES, max_size=30))
@settings(max_examples=300)
def test_what_is_in_no_hunk_is_equal(old, new):
    check(old, new)


def distance(old, new):
    """Return how many lines a shortest script removes and adds."""
    row = list(range(len(new) + 1))
    for i, line in enumerate(old):
        corner, row[0] = row[0], i + 1
        for j, other in enumerate(new):
            best = corner if line == other else 1 + min(row[j], row[j + 1])
            corner, row[j + 1] = row[j + 1], best
    return row[-1]


@given(st.lists(LINES, max_size=20), st.lists(LINES, max_size=20))
@settings(max_examples=300)
def test_the_script_is_the_shortest(old, new):
    found = differences.hunks(old, new)
    length = sum(h.old_end - h.old_start + h.new_end - h.new_start for h in found)
    assert length == distance(old, new)


def chosen(lines, seed):
    return random.Random(seed).choices(lines, k=SIZE)


DISTINCT = [f"{number}\n" for number in range(SIZE)]
HOSTILE = {
    "one line less often": (["a\n"] * SIZE, ["a\n"] * (SIZE // 2)),
    "two lines at random": (chosen("ab", 1), chosen("ab", 2)),
    "sixteen lines at random": (chosen("abcdefghijklmnop", 1), chosen("abcdefghijklmnop", 2)),
    "nothing in common": (DISTINCT, [f"new {line}" for line in DISTINCT]),
    "reversed": (DISTINCT, DISTINCT[::-1]),
    "shuffled": (DISTINCT, random.Random(3).sample(DISTINCT, SIZE)),
    "pairs swapped": (DISTINCT, [DISTINCT[i ^ 1] for i in range(SIZE)]),
    "a line after each": (["a\n"] * SIZE, ["a\n", "b\n"] * SIZE),
    "gaps that close": (["a\n"] * SIZE, ["a\n", "a\n", "b\n"] * (SIZE // 3)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_end_and_are_right(name):
    check(*HOSTILE[name])


def test_lines_that_occur_once_divide_what_is_too_much_for_the_search(monkeypatch):
    new = [line if i % 3 else f"new {i}\n" for i, line in enumerate(DISTINCT)]
    new[100:200] = new[100:200][::-1]
    monkeypatch.setattr(differences, "SEARCH_STEPS", 50)
    found = check(DISTINCT, new)
    assert len(found) > SIZE // 4


def test_nothing_is_looked_for_beyond_the_limits(monkeypatch):
    monkeypatch.setattr(differences, "SEARCH_STEPS", 0)
    monkeypatch.setattr(differences, "ANCHOR_LINES", 0)
    monkeypatch.setattr(differences, "SLIDES", 0)
    assert hunks("zabcdz", "zbadcz") == [Hunk(1, 5, 1, 5)]


def unified(old, new, **options):
    return differences.unified(old, new, old_name="a", new_name="b", **options)


def test_a_unified_diff():
    old = "".join(f"{number}\n" for number in range(1, 21))
    new = old.replace("3\n", "three\n", 1).replace("19\n20\n", "19\n20")
    assert unified(old, new) == (
        "--- a\n+++ b\n"
        "@@ -1,6 +1,6 @@\n 1\n 2\n-3\n+three\n 4\n 5\n 6\n"
        "@@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n+20\n\\ No newline at end of file\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "diff"),
    [
        ("", "", ""),
        ("a", "a", ""),
        ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
        ("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n"),
        ("a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"),
        ("a\r\x0b\u2028b\n", "c\n", "@@ -1 +1 @@\n-a\r\x0b\u2028b\n+c\n"),
    ],
)
def test_small_unified_diffs(old, new, diff):
    assert unified(old, new) == (f"--- a\n+++ b\n{diff}" if diff else "")


def test_changes_share_a_header_if_their_context_touches():
    old = "".join(f"{number}\n" for number in range(10))
    new = old.replace("2\n", "two\n").replace("5\n", "five\n")
    assert unified(old, new, context=1).count("@@ -") == 1
    assert unified(old, new, context=0).count("@@ -") == 2
    assert "@@ -3 +3 @@\n-2\n+two\n@@ -6 +6 @@" in unified(old, new, context=0)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("note.md", "note.md"),
        ("Café", "Café"),
        ("a note", "a note\t"),
        ('a\n+++ "b"\\', '"a\\012+++ \\"b\\"\\\\"'),
    ],
)
def test_a_name_cannot_break_its_header(name, header):
    diff = differences.unified("", "a", old_name=name, new_name=name)
    assert diff.split("\n")[:2] == [f"--- {header}", f"+++ {header}"]


# Not without context: there git misses the end of the file, also with diffs of its own.
@pytest.mark.service
@given(TEXTS, TEXTS, st.sampled_from([1, 3]))
@settings(max_examples=150)
def test_git_apply_makes_the_new_text_of_the_old(tmp_path_factory, old, new, context):
    git = leg("git")
    diff = unified(old, new, context=context)
    if old == new:
        assert diff == ""
        return
    folder = tmp_path_factory.getbasetemp() / "apply"
    folder.mkdir(exist_ok=True)
    (folder / "note").write_bytes(old.encode())
    diff = diff.replace("--- a\n+++ b\n", "--- a/note\n+++ b/note\n", 1)
    command = [git, "apply", "--whitespace=nowarn", "-"]
    # Outside of any repository, also when the temporary folder is inside of one.
    environment = {"GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(command, input=diff.encode(), cwd=folder, env=environment, check=True)
    assert (folder / "note").read_bytes().decode() == new
