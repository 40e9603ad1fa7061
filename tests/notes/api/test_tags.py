"""Tags of notes: how they are spelled, found, renamed, merged and kept."""

import pytest
from django.utils import timezone

from notes.models import Change, Note, Revision
from notes.models.tags import MAX_TAGS
from tests.conftest import PASSWORD, client_of
from tests.notes.tags import NOTES, TAGS, assert_taggings_follow, counted, create, listed, patch

pytestmark = pytest.mark.django_db


def test_they_are_part_of_the_note(as_alice):
    note = create(as_alice, "b", "a")
    url = f"{NOTES}/{note['id']}"
    assert note["tags"] == as_alice.get(url).json()["tags"] == ["b", "a"]
    assert as_alice.get(NOTES).json()["results"][0]["tags"] == ["b", "a"]
    changed = patch(as_alice, note["id"], tags=["c", "a"]).json()
    assert (changed["tags"], changed["version"]) == (["c", "a"], 2)
    assert patch(as_alice, note["id"], tags=["c", "a"]).json()["version"] == 2
    replaced = as_alice.put(url, {"title": "n", "content": ""}, format="json").json()
    assert replaced["tags"] == ["c", "a"]
    assert patch(as_alice, note["id"], tags=[]).json()["tags"] == []
    assert_taggings_follow()


def test_one_tag_whatever_its_case(as_alice, as_carol):
    assert create(as_alice, " Straße ", "STRASSE", "two   words")["tags"] == ["Straße", "two words"]
    assert create(as_alice, "strasse", "Two Words")["tags"] == ["Straße", "two words"]
    assert create(as_carol, "strasse")["tags"] == ["strasse"]
    assert create(as_carol, "Cafe\u0301")["tags"] == ["Caf\u00e9"]
    assert counted(as_alice) == {"Straße": 2, "two words": 2}


@pytest.mark.parametrize(
    "sent",
    [
        [""],
        ["  "],
        ["a\nb\x07"],
        ["x" * 51],
        ["\ufdfa" * 50],  # 18 characters each, when they are compared
        [1],
        [None],
        [["a"]],
        "a",
        {},
        [f"{number}" for number in range(MAX_TAGS + 1)],
    ],
)
def test_what_is_no_tag(as_alice, sent):
    answer = as_alice.post(NOTES, {"title": "t", "tags": sent}, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith("tags")
    assert not Note.objects.exists()


def test_lists(as_alice, as_carol):
    ab, a, b = (create(as_alice, *names)["id"] for names in (("a", "b"), ("A",), ("b",)))
    none = create(as_alice)["id"]
    create(as_carol, "a")
    assert listed(as_alice, "tag=a") == {ab, a}
    assert listed(as_alice, "tag=a&tag=B") == {ab}
    assert listed(as_alice, "tag=a&tag=b&tags=any") == {ab, a, b}
    assert listed(as_alice, "tag=c") == set()
    assert listed(as_alice, "tag=a&tag=c&tags=any&order=title") == {ab, a}
    assert listed(as_alice, "") == {ab, a, b, none}
    for query in ("tag=", "tag=a&tags=some"):
        assert as_alice.get(f"{NOTES}?{query}").status_code == 400


def test_counts_are_of_live_notes_that_one_may_see(as_alice, as_carol):
    one, two = create(as_alice, "a", "b")["id"], create(as_alice, "a")["id"]
    as_alice.delete(f"{NOTES}/{one}")
    assert counted(as_alice) == {"a": 1}
    as_alice.delete(f"{NOTES}/{two}?permanent=true")
    assert counted(as_alice) == {}
    as_alice.post(f"{NOTES}/{one}/restore")
    assert counted(as_alice) == {"a": 1, "b": 1}
    assert counted(as_carol) == {}


def test_rename(as_alice, as_carol):
    one, two, other = (create(as_alice, *names)["id"] for names in (("a", "x"), ("x", "a"), ("b",)))
    hers = create(as_carol, "a")["id"]
    as_alice.delete(f"{NOTES}/{two}")
    before = Change.objects.get(note=other).seq
    answer = as_alice.patch(f"{TAGS}/A", {"name": "New name"}, format="json")
    assert (answer.status_code, answer.json()) == (200, {"name": "New name", "notes": 2})
    assert as_alice.get(f"{NOTES}/{one}").json()["tags"] == ["New name", "x"]
    assert Note.objects.get(pk=two).tags == "x\nNew name"
    assert Note.objects.get(pk=hers).tags == "a"
    assert Note.objects.get(pk=other).version == 1
    assert Change.objects.get(note=other).seq == before
    assert set(Revision.objects.values_list("note", "version", "tags")) == {
        (one, 1, "a\nx"), (two, 1, "x\na"), (two, 2, "x\na"),
    }  # fmt: skip
    assert as_alice.get(f"{NOTES}/{one}/revisions/1").json()["tags"] == ["a", "x"]
    feed = as_alice.get("/api/v1/sync").json()["changes"]
    assert [change["id"] for change in feed] == [other, one]
    assert as_alice.patch(f"{TAGS}/a", {"name": "b"}, format="json").status_code == 404
    assert_taggings_follow()


def test_rename_changes_case_alone(as_alice):
    note = create(as_alice, "work")
    as_alice.patch(f"{TAGS}/work", {"name": "Work"}, format="json")
    assert as_alice.get(f"{NOTES}/{note['id']}").json()["tags"] == ["Work"]
    assert counted(as_alice) == {"Work": 1}


def test_merge(as_alice):
    both, one = create(as_alice, "a", "x", "B")["id"], create(as_alice, "a")["id"]
    answer = as_alice.patch(f"{TAGS}/a", {"name": "b"}, format="json")
    assert (answer.status_code, answer.json()) == (200, {"name": "B", "notes": 2})
    assert as_alice.get(f"{NOTES}/{both}").json()["tags"] == ["B", "x"]
    assert as_alice.get(f"{NOTES}/{one}").json()["tags"] == ["B"]
    assert counted(as_alice) == {"B": 2, "x": 1}
    assert_taggings_follow()


def test_delete(as_alice, as_carol):
    note = create(as_alice, "a/b", "x")
    assert as_carol.delete(f"{TAGS}/a/b").status_code == 404
    assert as_alice.delete(f"{TAGS}/a%2Fb").status_code == 204
    assert as_alice.delete(f"{TAGS}/a/b").status_code == 404
    now = as_alice.get(f"{NOTES}/{note['id']}").json()
    assert (now["tags"], now["version"]) == (["x"], 2)
    assert_taggings_follow()


def test_a_token_of_a_category_knows_no_tags_of_others(as_alice):
    inside = create(as_alice, "Known", category="Work")["id"]
    outside = create(as_alice, "Hidden", "Known", category="Home")["id"]
    sent = {"name": "t", "password": PASSWORD, "scopes": ["notes:write"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", sent, format="json").json()["token"]
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert counted(limited) == {"Known": 1}
    assert create(limited, "hidden", "known")["tags"] == ["hidden", "Known"]
    assert limited.delete(f"{TAGS}/Known").status_code == 204
    assert limited.patch(f"{TAGS}/Hidden", {"name": "x"}, format="json").status_code == 200
    assert as_alice.get(f"{NOTES}/{outside}").json()["tags"] == ["Hidden", "Known"]
    assert as_alice.get(f"{NOTES}/{inside}").json()["tags"] == []


def test_history_keeps_them(as_alice):
    note = create(as_alice, "a", "b")
    url = f"{NOTES}/{note['id']}"
    patch(as_alice, note["id"], tags=["b", "c"])
    difference = as_alice.get(f"{url}/revisions/1/diff").json()
    assert difference["tags"] == [["a", "b"], ["b", "c"]]
    assert as_alice.post(f"{url}/revisions/1/restore").json()["tags"] == ["a", "b"]
    assert (listed(as_alice, "tag=a"), listed(as_alice, "tag=c")) == ({note["id"]}, set())
    assert_taggings_follow()


def test_rewind_brings_them_back(as_alice):
    note = create(as_alice, "a")
    then = timezone.now().isoformat()
    as_alice.patch(f"{TAGS}/a", {"name": "b"}, format="json")
    (was,) = as_alice.get(NOTES, {"as_of": then}).json()["results"]
    assert was["tags"] == ["a"]
    assert as_alice.post("/api/v1/rewind", {"to": then}, format="json").status_code == 200
    assert as_alice.get(f"{NOTES}/{note['id']}").json()["tags"] == ["a"]
    assert counted(as_alice) == {"a": 1}


def test_merged_as_sets(as_alice, alice):
    note = create(as_alice, "a", "b")
    patch(client_of(alice), note["id"], tags=["b", "theirs"])
    prefers = {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": '"1"'}
    answer = patch(as_alice, note["id"], tags=["a", "b", "yours"], **prefers)
    assert (answer.status_code, answer.json()["tags"]) == (200, ["b", "theirs", "yours"])


def test_a_merge_knows_a_tag_by_any_spelling_and_the_limit(as_alice, alice):
    note = create(as_alice, "work", "x")
    patch(client_of(alice), note["id"], tags=["x"])
    prefers = {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": '"1"'}
    answer = patch(as_alice, note["id"], tags=["Work", "X", "y"], **prefers)
    assert answer.json()["tags"] == ["x", "y"]
    many = [f"{number}" for number in range(MAX_TAGS)]
    refused = patch(as_alice, note["id"], tags=many, **prefers)
    assert (refused.status_code, refused.json()["code"]) == (400, "too_many_tags")


def test_what_a_conflict_shows(as_alice, alice):
    note = create(as_alice, "a", content="one\n")
    patch(client_of(alice), note["id"], content="two\n")
    prefers = {"HTTP_PREFER": "merge", "HTTP_IF_MATCH": '"1"'}
    refused = patch(as_alice, note["id"], content="three\n", tags=["b", "c"], **prefers).json()
    assert (refused["base"]["tags"], refused["yours"]["tags"]) == (["a"], ["b", "c"])


@pytest.mark.parametrize("path", ["%00", "%01", "..", "a" * 51, "%ED%A0%80", "%20"])
def test_addresses_of_no_tag(as_alice, path):
    create(as_alice, "a")
    for answer in (
        as_alice.patch(f"{TAGS}/{path}", {"name": "b"}, format="json"),
        as_alice.delete(f"{TAGS}/{path}"),
    ):
        assert answer.status_code in (400, 404)
    assert counted(as_alice) == {"a": 1}


def test_offline(as_alice):
    changes = [
        {"op": "create", "client_id": "c", "title": "t", "tags": ["a"]},
        {"op": "update", "client_id": "c", "base_version": 1, "tags": ["A", "b"]},
    ]
    for _ in range(2):  # the answer was lost
        answer = as_alice.post("/api/v1/sync", {"changes": changes}, format="json")
        assert [each["status"] for each in answer.json()["results"]] == ["applied"] * 2
    assert Note.objects.get().version == 2
    (change,) = as_alice.get("/api/v1/sync").json()["changes"]
    assert change["note"]["tags"] == ["a", "b"]
    assert_taggings_follow()
