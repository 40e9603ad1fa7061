import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notes.markdown.tasks import NoSuchTask, toggle_task

SIZE = 2**20


def count_of(content):
    with pytest.raises(NoSuchTask) as caught:
        toggle_task(content, 0)
    return caught.value.count


def tasks(content):
    """Return the content with every task that is known marked by a ! instead of its state."""
    count = count_of(content)
    toggled = [toggle_task(content, number) for number in range(1, count + 1)]
    slots = [
        next(i for i, (old, new) in enumerate(zip(content, each, strict=True)) if old != new)
        for each in toggled
    ]
    assert slots == sorted(set(slots))
    for place in slots:
        content = content[:place] + "!" + content[place + 1 :]
    return content


@pytest.mark.parametrize(
    ("content", "number", "toggled"),
    [
        ("- [ ] a", 1, "- [x] a"),
        ("- [x] a", 1, "- [ ] a"),
        ("- [X] a", 1, "- [ ] a"),
        ("- [ ] a\n- [ ] [ ] b\n", 2, "- [ ] a\n- [x] [ ] b\n"),
        ("# [ ]\r\n\r\n* [ ] a\r\n  1. [x] b\r\n", 2, "# [ ]\r\n\r\n* [ ] a\r\n  1. [ ] b\r\n"),
    ],
)
def test_toggle_task(content, number, toggled):
    assert toggle_task(content, number) == toggled


@pytest.mark.parametrize("number", [-1, 0, 3])
def test_a_task_that_is_not_there(number):
    with pytest.raises(NoSuchTask) as caught:
        toggle_task("- [ ] a\n- [ ] b\n", number)
    assert caught.value.count == 2


@pytest.mark.parametrize(
    "content",
    [
        # Every marker, and numbers of up to nine digits.
        "- [!] a\n* [!] a\n+ [!] a\n1. [!] a\n2) [!] a\n123456789. [!] a\n",
        "-[ ] a\n1.[ ] a\n1: [ ] a\n1234567890. [ ] a\n[ ] a\n",
        # A blank and something else follow.
        "- [!]  a\n- [!]\ta\n- [ ]a\n- [ ]\n- [ ] \n- [  ] a\n- [] a\n- [y] a\n- [ ](a) b\n",
        "- a [ ] b\n- \\[ ] a\n- **[ ] a**\n- \u2028[ ] a\n- \u00a0[ ] a\n",
        "a\r- [!] b\r- [!] c",
        # Nested, by spaces or a tab, or begun on one line.
        "- [!] a\n  - [!] b\n    - [!] c\n      - [!] d\n\n        - [!] e\n",
        "- a\n\t- [!] b\n\t\t- [!] c\n",
        "1. a\n   - [!] b\n- - 2. [!] c\n",
        "   - [!] a\n",
        # In quotes.
        "> - [!] a\n>- [!] b\n>   - [!] c\n> > 1. [!] d\n- > - [!] e\n- > [ ] f\n",
        # Fenced code: only as long a fence of the same kind ends it, and an open one runs on.
        "```\n- [ ] a\n```\n- [!] b\n",
        "~~~ md\n- [ ] a\n```\n- [ ] b\n~~~\n- [!] c\n",
        "````\n- [ ] a\n```\n- [ ] b\n`````  \n- [!] c\n",
        "```\n- [ ] a\n``` b\n- [ ] c\n    ```\n- [ ] d\n",
        "``` a`b\n- [!] a\n",
        "``\n- [!] a\n``\n",
        "- ```\n  - [ ] a\n\n  - [ ] b\n  ```\n  - [!] c\n",
        # It ends with the item or the quote that it is in.
        "- ```\n  - [ ] a\n- [!] b\n",
        "> ```\n> - [ ] a\n- [!] b\n",
        # Indented code, unless a list item is there to belong to or a paragraph to continue.
        "    - [ ] a\n\t- [ ] b\n",
        "- a\n\nb\n\n    - [ ] c\n",
        "- a\n\n    - [!] b\n",
        "-     [ ] a\n-    [!] b\n",
        "a\n    - [ ] b\n",
        # What a list may break a paragraph off with.
        "a\n- [!] b\n",
        "a\n1. [!] b\n",
        "a\n2. [ ] b\n\n2. [!] c\n",
        # What is no list.
        "* * *\n    - [ ] a\n",
        "a\n-\n    - [ ] b\n",
        "# a\n    - [ ] b\n",
        # HTML blocks, and definitions of links, are no items.
        "<div>\n- [ ] a\n\n- [!] b\n",
        "<?\n\n- [ ] a\n?> b\n- [!] c\n",
        "- <pre>\n  - [ ] a\n\n  - [ ] b\n  </pre>\n  - [!] c\n",
        "a\n<b>\n- [!] c\n",
        "[a]:\n- [!] b\n",
        # An item may begin with one empty line.
        "-\n  - [!] a\n-\n\n      - [ ] b\n",
    ],
)
def test_what_a_task_is(content):
    plain = content.replace("[!]", "[ ]")
    assert tasks(plain) == content
    done = content.replace("[!]", "[x]")
    assert count_of(done) == content.count("!")


PIECES = [
    "- ",
    "1. ",
    "> ",
    "  ",
    "    ",
    "\t",
    "[ ] ",
    "[x] ",
    "a",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "#",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=400)
def test_a_toggle_changes_one_character_and_a_second_brings_it_back(content):
    assert content.count("[ ]") + content.count("[x]") >= count_of(content)
    tasks(content)
    for number in range(1, count_of(content) + 1):
        toggled = toggle_task(content, number)
        assert count_of(toggled) == count_of(content)
        assert toggle_task(toggled, number) == content


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ("\n" * SIZE + "- [ ] a", 1),
        ("- " * (SIZE // 2) + "[ ] a", 0),
        (">" * SIZE + "- [ ] a", 0),
        ("- " * 98 + "a\n" + "\n \n" * (SIZE // 8) + " " * 196 + "- [ ] a", 1),
        ("`" * SIZE + "a`\n- [ ] a", 1),
        ("a\n" + "-" * SIZE + "b\n- [ ] a", 1),
        ("- [ ]" + " " * SIZE + "\n- [ ] a", 1),
        ("[" * SIZE + "\n- [ ] a", 1),
        ("- [ ] a\n" * (SIZE // 8), SIZE // 8),
    ],
    ids=range(9),
)
def test_hostile_texts_end(content, count):
    assert count_of(content) == count
