import pytest

from notes.markdown import edits

SIZE = 2**20


@pytest.mark.parametrize(
    ("content", "text", "appended", "prepended"),
    [
        ("", "", "", ""),
        ("", "b", "b", "b"),
        ("a", "b", "a\nb", "b\na"),
        ("a\n", "b\n", "a\nb\n", "b\na\n"),
        ("a\n\n", "\nb", "a\n\n\nb", "\nb\na\n\n"),
        ("a\r", "b", "a\r\nb", "b\na\r"),
    ],
)
def test_append_and_prepend(content, text, appended, prepended):
    assert edits.append(content, text) == appended
    assert edits.prepend(content, text) == prepended


def test_nothing_to_add_adds_no_line_before():
    assert edits.prepend("a", "") == "a"


@pytest.mark.parametrize(
    ("content", "old", "new", "replaced"),
    [
        ("a b c", "b", "x", "a x c"),
        ("a b c", "a b c", "", ""),
        ("b", "b", "bb", "bb"),
        ("a\nb", "\n", "\\1", "a\\1b"),
    ],
)
def test_replace_once(content, old, new, replaced):
    assert edits.replace_once(content, old, new) == replaced


@pytest.mark.parametrize(
    ("content", "old", "count"),
    [
        ("abc", "x", 0),
        ("", "x", 0),
        ("abc", "", 0),
        ("", "", 0),
        ("a b a", "a", 2),
        ("aaa", "aa", 2),
        ("abababa", "aba", 3),
        ("a" * SIZE, "a", 100),
        ("a" * SIZE, "a" * (SIZE // 2), 100),
        ("a" * SIZE, "a" * (SIZE // 2) + "b", 0),
    ],
    ids=range(10),
)
def test_what_does_not_occur_exactly_once(content, old, count):
    with pytest.raises(edits.NotExactlyOnce) as caught:
        edits.replace_once(content, old, "y")
    assert caught.value.count == count
