"""The same with many notes at once, each answered by itself."""

import pytest
from django.utils import timezone

from notes.files import objects, storage
from notes.models import Note, Revision
from tests.notes import files, tags

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


@pytest.fixture
def ids(as_alice):
    return [tags.create(as_alice, "a", category="A")["id"] for _ in range(3)]


def bulk(client, op, ids, **fields):
    return client.post(f"{NOTES}/bulk", {"op": op, "ids": ids, **fields}, format="json")


def statuses(answer):
    assert answer.status_code == 200, answer.content
    return [result["status"] for result in answer.json()["results"]]


@pytest.mark.parametrize(
    ("op", "fields", "expected"),
    [
        ("tag", {"tags": ["b", "A"]}, {"tags": ["a", "b"], "version": 2}),
        ("untag", {"tags": ["A", "c"]}, {"tags": [], "version": 2}),
        ("move", {"category": "B/c"}, {"category": "B/c", "version": 2}),
        ("move", {"category": ""}, {"category": "", "version": 2}),
        ("archive", {}, {"is_archived": True, "version": 1}),
        ("favorite", {}, {"is_favorite": True, "version": 1}),
    ],
)
def test_operations(as_alice, ids, op, fields, expected):
    cursor = as_alice.get("/api/v1/sync").json()["cursor"]
    answer = bulk(as_alice, op, ids[:2], **fields)
    version = expected["version"]
    assert answer.json()["results"] == [
        {"id": pk, "status": "applied", "version": version} for pk in ids[:2]
    ]
    for pk in ids[:2]:
        assert as_alice.get(f"{NOTES}/{pk}").json().items() >= expected.items()
    assert as_alice.get(f"{NOTES}/{ids[2]}").json()["version"] == 1
    told = as_alice.get(f"/api/v1/sync?cursor={cursor}").json()["changes"]
    assert [change["id"] for change in told] == ids[:2]
    assert Revision.objects.count() == 2 * (version - 1)
    assert statuses(bulk(as_alice, op, ids[:2], **fields)) == ["unchanged"] * 2
    assert Revision.objects.count() == 2 * (version - 1)
    tags.assert_taggings_follow()


def test_flags_are_taken_back(as_alice, ids):
    for op, opposite in (("archive", "unarchive"), ("favorite", "unfavorite")):
        assert statuses(bulk(as_alice, opposite, ids)) == ["unchanged"] * 3
        bulk(as_alice, op, ids[:1])
        assert statuses(bulk(as_alice, opposite, ids)) == ["applied", "unchanged", "unchanged"]


def test_trash_and_restore(as_alice, ids):
    assert statuses(bulk(as_alice, "restore", ids)) == ["not_found"] * 3
    assert statuses(bulk(as_alice, "trash", ids[:2])) == ["applied"] * 2
    assert statuses(bulk(as_alice, "tag", ids, tags=["b"])) == ["not_found", "not_found", "applied"]
    assert statuses(bulk(as_alice, "trash", ids)) == ["not_found", "not_found", "applied"]
    assert statuses(bulk(as_alice, "restore", ids[1:])) == ["applied"] * 2
    live = as_alice.get(NOTES).json()["results"]
    assert {note["id"]: note["version"] for note in live} == {ids[1]: 3, ids[2]: 4}


def test_what_is_not_there_stops_nobody(as_alice, as_carol, ids):
    hers = tags.create(as_carol, "a")["id"]
    wanted = [2**62, ids[1], hers, ids[0], ids[1]]
    answer = bulk(as_alice, "move", wanted, category="B")
    assert [result["id"] for result in answer.json()["results"]] == wanted[:4]
    assert statuses(answer) == ["not_found", "applied", "not_found", "applied"]
    assert Note.objects.get(pk=hers).category == ""


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"op": "burn"}, "op"),
        ({"op": "tag"}, "tags"),
        ({"op": "tag", "tags": [""]}, "tags.0"),
        ({"op": "move"}, "category"),
        ({"op": "move", "category": "\x01"}, "category"),
        ({"op": "trash", "ids": []}, "ids"),
        ({"op": "trash", "ids": ["x"]}, "ids.0"),
        ({"op": "trash", "ids": [2**63]}, "ids.0"),
        ({"op": "trash", "ids": list(range(1, 502))}, "ids"),
        ({"op": "trash", "ids": None}, "ids"),
    ],
)
def test_what_is_no_operation(as_alice, ids, sent, field):
    answer = as_alice.post(f"{NOTES}/bulk", {"ids": ids, **sent}, format="json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_too_many_tags_change_nothing(as_alice, ids):
    more = [f"{number}" for number in range(50)]
    answer = bulk(as_alice, "tag", ids, tags=more)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "too_many_tags")
    assert set(Note.objects.values_list("tags", "version")) == {("a", 1)}


def test_500_at_once(as_alice, alice, django_assert_max_num_queries):
    notes = Note.objects.bulk_create(
        Note(owner=alice, title="t", tags=f"tag {number}") for number in range(500)
    )
    with django_assert_max_num_queries(25):
        answer = bulk(as_alice, "tag", [note.pk for note in notes], tags=["a"])
    assert statuses(answer) == ["applied"] * 500
    assert tags.counted(as_alice)["a"] == 500
    tags.assert_taggings_follow()


@pytest.mark.django_db(transaction=True)
class TestPurge:
    """Emptying the trash."""

    @pytest.fixture
    def trashed(self, as_alice, stored_keys, ids):
        for pk in ids:
            files.add(as_alice, f"{NOTES}/{pk}", b"%d" % pk, "f.txt")
        bulk(as_alice, "trash", ids[:2])
        return ids[:2]

    def test_notes_in_the_trash_go_with_history_and_files(
        self, as_alice, as_carol, ids, trashed, stored_keys
    ):
        assert len(stored_keys()) == 3
        cursor = as_alice.get("/api/v1/sync").json()["cursor"]
        for client, expected in ((as_carol, "not_found"), (as_alice, "applied")):
            answer = bulk(client, "purge", [*trashed, ids[2], 10**12])
            assert statuses(answer) == [expected] * 2 + ["not_found"] * 2
        assert answer.json()["results"][0] == {"id": ids[0], "status": "applied"}
        assert list(Note.objects.values_list("pk", flat=True)) == [ids[2]]
        assert not Revision.objects.filter(note__in=trashed).exists()
        assert len(stored_keys()) == 1
        changes = as_alice.get(f"/api/v1/sync?cursor={cursor}").json()["changes"]
        assert [(change["id"], change["deleted"]) for change in changes] == [
            (pk, True) for pk in trashed
        ]
        assert as_alice.get("/api/v1/auth/me").json()["storage"]["files"] == 1

    def test_a_storage_that_is_away_stops_nobody(self, as_alice, trashed, stored_keys, monkeypatch):
        def refuse(key):
            raise storage.StorageUnavailable

        with monkeypatch.context() as patched:
            patched.setattr(storage, "delete", refuse)
            assert statuses(bulk(as_alice, "purge", trashed)) == ["applied"] * 2
        objects.sweep(now=timezone.now())
        assert len(stored_keys()) == 1
