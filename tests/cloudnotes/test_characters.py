"""Which characters names may have, in whatever script."""

import pytest

from cloudnotes.characters import find_unusable, to_one_line
from notes.models import Note, tags

NOTES = "/api/v1/notes"
USABLE = [
    "plain",
    "می\u200cخواهم",  # Persian, with ZWNJ
    "ශ්\u200dරී ලංකාව",  # Sinhala, with ZWJ
    "क्\u200cष",
    "👨\u200d👩\u200d👧",
    "👩🏽\u200d🚀",
    "🏳\ufe0f\u200d🌈",
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "🇺🇳",
    "\U0001fae8 \U0001faea",  # of Unicode 15 and 16
    "\U0001f8ff",  # which nobody knows yet
    "葛\U000e0100城",
    "ᠠ\u180b",
    "C++ & C# (“quoted”), §5 – 50 %",
    "עברית العربية ไทย தமிழ் 日本語",
]
UNUSABLE = {
    "a\u202eb": "U+202E",
    "a\u200bb": "U+200B",
    "a\u200db": "U+200D",
    "a\u200cb": "U+200C",
    "a\ufe0f": "U+FE0F",
    "1\ufe0f": "U+FE0F",
    "a\u00adb": "U+00AD",
    "\ufeffa": "U+FEFF",
    "a\x00": "U+0000",
    "a\x7f": "U+007F",
    "\ue000": "U+E000",
    "\ufdd0": "U+FDD0",
    "\U0010ffff": "U+10FFFF",
    "\ud800": "U+D800",
    "a\U000e0067": "U+E0067",
    "🏴\U000e0067": "U+E0067",
    "\u3164": "U+3164",
}


@pytest.mark.parametrize("name", USABLE, ids=ascii)
def test_usable(name):
    assert find_unusable(name) == ""


@pytest.mark.parametrize("name", UNUSABLE, ids=ascii)
def test_unusable(name):
    assert find_unusable(name) == UNUSABLE[name]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  a  b ", "a b"),
        ("a\u3000b\u00a0c\u202fd\u2009e", "a b c d e"),
        ("a\tb\r\nc\u2028d\x85", "a b c d"),
        ("e\u0301", "é"),
        ("\u3000", ""),
    ],
)
def test_blanks_of_all_kinds_become_one(text, line):
    assert to_one_line(text) == line


@pytest.mark.django_db
@pytest.mark.parametrize("name", USABLE, ids=ascii)
def test_every_name_may_be_such_a_name(as_alice, name):
    fields = {"title": name, "category": f"{name}/{name}", "tags": [name]}
    note = as_alice.post(NOTES, fields, format="json").json()
    line = to_one_line(name)
    assert (note["category"], note["tags"]) == (f"{line}/{line}", [line])
    assert as_alice.get(NOTES, {"tag": name}).status_code == 200
    answer = as_alice.patch("/api/v1/auth/me", {"username": name}, format="json")
    assert answer.json()["username"] == line


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", [name for name in UNUSABLE if name != "\ud800" and "\0" not in name]
)
def test_no_name_may_be_another(as_alice, name):
    for body in ({"category": name}, {"tags": [name]}):
        answer = as_alice.post(NOTES, {"title": "t", **body}, format="json")
        assert answer.status_code == 400
        assert UNUSABLE[name] in answer.json()["errors"][0]["detail"]
    assert as_alice.patch("/api/v1/auth/me", {"username": name}, format="json").status_code == 400
    assert not Note.objects.exists()


@pytest.mark.django_db
def test_blanks_in_names(as_alice):
    fields = {"title": "t", "category": "会議\u3000録/a\u00a0b", "tags": ["x\u3000y", "x y"]}
    note = as_alice.post(NOTES, fields, format="json").json()
    assert (note["category"], note["tags"]) == ("会議 録/a b", ["x y"])
    answer = as_alice.patch("/api/v1/auth/me", {"username": "山田\u3000太郎"}, format="json")
    assert answer.json()["username"] == "山田 太郎"
    assert tags.parse("a\nb") == "a b"
