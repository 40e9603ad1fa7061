"""The title of a text that has none."""

import pytest

from notes.markdown.titles import title_of

NOTES = "/api/v1/notes"


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Milk and bread\nand more", "Milk and bread"),
        ("\n\n  \n# Plans for 2026 \n", "Plans for 2026"),
        ("> ## Quoted", "Quoted"),
        ("- [ ] buy milk", "buy milk"),
        ("1. first", "first"),
        ("#tag stays", "#tag stays"),
        ("2026 was good", "2026 was good"),
        ("---\n***\ntext", "text"),
        ("-5 degrees", "-5 degrees"),
        ("a\t b\u3000c\r\nd", "a b c"),
        ("word " * 100, ("word " * 40).strip()),
        ("x" * 300, "x" * 200),
        ("", ""),
        ("\n---\n", ""),
    ],
)
def test_the_first_line_that_has_text(content, title):
    assert title_of(content, at_most=200) == title


def test_hostile_lines_end():
    for part in ("> ", "- ", "#", "1. ", "[ ] ", " "):
        title_of(part * (2**20 // len(part)), at_most=200)


@pytest.mark.django_db
def test_a_note_without_a_title_gets_that_of_its_text(as_alice):
    made = as_alice.post(NOTES, {"content": "# Shopping\n- milk"}, format="json")
    assert (made.status_code, made.json()["title"]) == (201, "Shopping")
    assert made.json()["content"] == "# Shopping\n- milk"
    # A title that is sent is what it is, and a note that says nothing is a mistake.
    empty = as_alice.post(NOTES, {"title": "", "content": "# Shopping"}, format="json")
    assert empty.json()["title"] == ""
    for body in ({}, {"tags": ["a"]}):
        refused = as_alice.post(NOTES, body, format="json")
        assert [each["field"] for each in refused.json()["errors"]] == ["title"]
    # It is no live title: later changes of the text leave it.
    url = f"{NOTES}/{made.json()['id']}"
    assert as_alice.patch(url, {"content": "other"}, format="json").json()["title"] == "Shopping"
