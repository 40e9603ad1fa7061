"""The change feed, batches of changes, the digest."""

import datetime as dt
import hashlib
from unittest.mock import ANY

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.actions import tokens
from notes import sync
from notes.actions import revisions
from notes.actions import sync as sync_actions
from notes.models import Change, Feed, Note, Revision
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES, SYNC = "/api/v1/notes", "/api/v1/sync"


def create(client, title="t", **more):
    return client.post(NOTES, {"title": title, **more}, format="json").json()["id"]


class Client:
    """What keeps a copy of an account."""

    def __init__(self, http):
        self.http, self.copy, self.cursor = http, {}, ""

    def pull(self, limit=100):
        seen = []
        while True:
            query = {"limit": limit, **({"cursor": self.cursor} if self.cursor else {})}
            page = self.http.get(SYNC, query).json()
            ids = [change["id"] for change in page["changes"]]
            assert len(ids) <= limit
            assert len(ids) == len(set(ids))
            seen += page["changes"]
            for change in page["changes"]:
                if change["deleted"]:
                    assert "note" not in change
                    self.copy.pop(change["id"], None)
                else:
                    self.copy[change["id"]] = change["note"]
            self.cursor = page["cursor"]
            if not page["has_more"]:
                assert [change["seq"] for change in seen] == sorted(
                    change["seq"] for change in seen
                )
                return seen

    def digest(self):
        lines = (f"{pk}:{note['version']}\n" for pk, note in sorted(self.copy.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture
def follower(alice):
    return Client(client_of(alice))


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_client_learns_everything_then_what_changed(as_alice, as_carol, follower, limit):
    create(as_carol, "carol's")
    ids = [create(as_alice, str(number)) for number in range(5)]
    follower.pull(limit)
    assert set(follower.copy) == set(ids)
    assert follower.copy[ids[0]] == as_alice.get(f"{NOTES}/{ids[0]}").json()
    assert follower.pull(limit) == []
    as_alice.patch(f"{NOTES}/{ids[2]}", {"title": "new"}, format="json")
    as_alice.patch(f"{NOTES}/{ids[2]}", {"title": "newer"}, format="json")
    as_alice.delete(f"{NOTES}/{ids[0]}")
    as_alice.delete(f"{NOTES}/{ids[1]}?permanent=true")
    six = create(as_alice, "6")
    told = [(change["id"], change["deleted"]) for change in follower.pull(limit)]
    assert told == [(ids[2], False), (ids[0], True), (ids[1], True), (six, False)]
    assert follower.copy[ids[2]]["title"] == "newer"
    assert as_alice.get(f"{SYNC}/digest").json()["digest"] == follower.digest()
    as_alice.post(f"{NOTES}/{ids[0]}/restore")
    (change,) = follower.pull(limit)
    assert change["note"]["id"] == ids[0]
    digest = as_alice.get(f"{SYNC}/digest").json()
    assert (digest["digest"], digest["notes"]) == (follower.digest(), 5)
    assert digest["cursor"]


def test_every_event_moves_the_note_up(as_alice, follower):
    pk = create(as_alice)
    url = f"{NOTES}/{pk}"
    writes = [
        lambda: as_alice.put(url, {"title": "x", "content": ""}, format="json"),
        lambda: as_alice.put(f"{url}/title", {"title": "y"}, format="json"),
        lambda: as_alice.put(
            f"{url}/file", {"file": SimpleUploadedFile("f", b"x")}, format="multipart"
        ),
        lambda: as_alice.delete(f"{url}/file"),
        lambda: as_alice.post(f"{url}/edits", {"op": "append", "text": "x"}, format="json"),
        lambda: as_alice.post(f"{url}/revisions/1/restore"),
        lambda: as_alice.delete(url),
        lambda: as_alice.post(f"{url}/restore"),
        lambda: as_alice.delete(f"{url}?permanent=true"),
    ]
    for number, write in enumerate(writes, 2):
        assert write().status_code in (200, 204)
        assert Change.objects.get().seq == Feed.objects.get().seq == number
    follower.pull()
    assert follower.copy == {}


def test_a_write_that_changes_nothing_is_no_change(as_alice, follower):
    pk = create(as_alice)
    follower.pull()
    as_alice.patch(f"{NOTES}/{pk}", {"title": "t"}, format="json")
    as_alice.post(f"{NOTES}/{pk}/restore")
    assert follower.pull() == []


def test_who_begins_with_nothing_hears_of_no_old_graves(as_alice, follower):
    for number in range(4):
        pk = create(as_alice, str(number))
        if number % 2:
            as_alice.delete(f"{NOTES}/{pk}")
    page = follower.http.get(f"{SYNC}?limit=1").json()
    follower.cursor = page["cursor"]
    as_alice.delete(f"{NOTES}/{page['changes'][0]['id']}")
    assert [change["deleted"] for change in follower.pull(1)] == [False, True]


def test_an_empty_account(as_alice, follower):
    assert follower.pull() == []
    assert as_alice.get(f"{SYNC}/digest").json()["digest"] == follower.digest()
    create(as_alice)
    assert len(follower.pull()) == 1


class TestCursors:
    @pytest.fixture
    def cursor(self, as_alice):
        create(as_alice)
        return as_alice.get(SYNC).json()["cursor"]

    def test_unknown_ones_are_410(self, as_alice, as_carol, cursor):
        tampered = [cursor[:-1], cursor + "x", "x", "x" * 5000, cursor.upper(), "\ud7ff"]
        for text in tampered:
            response = as_alice.get(SYNC, {"cursor": text})
            assert (response.status_code, response.json()["code"]) == (410, "resync_required")
        create(as_carol)  # or her feed would be too short for it
        assert as_carol.get(SYNC, {"cursor": cursor}).status_code == 410
        page = as_alice.get(f"{NOTES}?limit=1").json()
        assert as_alice.get(SYNC, {"cursor": page["next"] or "x"}).status_code == 410

    def test_one_of_before_a_restore_makes_everybody_begin_anew(
        self, as_alice, as_carol, alice, cursor
    ):
        """A restored database counts again from where the backup was."""
        create(as_carol)
        of_carol = as_carol.get(SYNC).json()["cursor"]
        for number in range(3):
            create(as_alice, str(number))
        ahead = as_alice.get(SYNC).json()["cursor"]
        Feed.objects.filter(user=alice).update(seq=2)
        Change.objects.filter(user=alice, seq__gt=2).delete()
        name = sync.get_generation()
        assert as_alice.get(SYNC, {"cursor": ahead}).status_code == 410
        assert sync.get_generation() != name
        for client, text in ((as_alice, ahead), (as_alice, cursor), (as_carol, of_carol)):
            assert client.get(SYNC, {"cursor": text}).status_code == 410
        anew = as_alice.get(SYNC).json()["cursor"]
        assert as_alice.get(SYNC, {"cursor": anew}).status_code == 200

    def test_a_restore_in_the_middle_of_the_first_sync(self, as_alice, alice):
        for number in range(4):
            create(as_alice, str(number))
        middle = as_alice.get(SYNC, {"limit": 2}).json()["cursor"]
        Feed.objects.filter(user=alice).update(seq=3)
        assert as_alice.get(SYNC, {"cursor": middle}).status_code == 410

    def test_the_operator_says_that_a_backup_was_restored(self, as_alice, cursor, capsys):
        assert as_alice.get(SYNC, {"cursor": cursor}).status_code == 200
        call_command("resync_clients")
        assert "begin anew" in capsys.readouterr().out
        assert as_alice.get(SYNC, {"cursor": cursor}).json()["code"] == "resync_required"

    def test_a_new_generation_is_begun_once(self):
        name = sync.get_generation()
        sync_actions.start_generation(instead_of=name)
        second = sync.get_generation()
        sync_actions.start_generation(instead_of=name)
        assert name != second == sync.get_generation()

    @pytest.mark.parametrize("limit", ["0", "501", "x", "-1", "1" + "0" * 30])
    def test_bad_limits(self, as_alice, limit):
        assert as_alice.get(SYNC, {"limit": limit}).status_code == 400


def test_a_heavy_page_ends_early(as_alice, alice, follower):
    for number in range(20):
        create(as_alice, str(number), content="x" * 2**20)
    page = as_alice.get(f"{SYNC}?limit=500").json()
    assert (len(page["changes"]), page["has_more"]) == (8, True)
    follower.pull(500)
    assert len(follower.copy) == 20


def limited(user, category, *scopes):
    _, secret = tokens.create_token(
        user=user, password=PASSWORD, name="w", scopes=scopes, category=category,
        expires_at=None, now=timezone.now(),
    )  # fmt: skip
    http = client_of(None)
    http.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return http


def test_a_token_that_is_limited_to_a_category(as_alice, alice):
    agent = Client(limited(alice, "Work", "notes:write"))
    taken = {"op": "create", "client_id": "c", "title": "private"}
    private = push(as_alice, taken)[0]["id"]
    moves = create(as_alice, "moves", category="Work/Plans")
    trashed = create(as_alice, "trashed", category="Work")
    assert {change["id"] for change in agent.pull()} == {moves, trashed}
    as_alice.patch(f"{NOTES}/{private}", {"title": "still private"}, format="json")
    as_alice.patch(f"{NOTES}/{moves}", {"category": "Workshop"}, format="json")
    as_alice.delete(f"{NOTES}/{trashed}")
    told = [(change["id"], change["deleted"]) for change in agent.pull()]
    assert told == [(moves, True), (trashed, True)]
    body = agent.http.get(f"{SYNC}/digest").json()
    assert (body["digest"], body["notes"]) == (agent.digest(), 0)
    operations = [
        {"op": "create", "title": "x"},
        {"op": "create", "title": "x", "category": "Home"},
        {"op": "update", "id": private, "base_version": 2, "title": "x"},
        {"op": "delete", "id": private, "base_version": 2},
    ]
    results = agent.http.post(SYNC, {"changes": operations}, format="json").json()["results"]
    assert [result["status"] for result in results] == ["applied"] + 3 * ["refused"]
    assert [result["problem"]["status"] for result in results[1:]] == [403, 404, 404]
    assert Note.objects.get(pk=results[0]["id"]).category == "Work"
    assert agent.http.post(SYNC, {"changes": [taken]}, format="json").json()["results"] == [
        {"status": "refused", "client_id": "c", "problem": ANY}
    ]
    inside = {"op": "update", "id": results[0]["id"], "base_version": 1, "category": ""}
    (result,) = agent.http.post(SYNC, {"changes": [inside]}, format="json").json()["results"]
    assert result["problem"]["status"] == 403


def test_the_grave_outlives_the_thinning(as_alice, alice):
    """A token hears that a note left its category, however long it was away."""
    agent = Client(limited(alice, "Work", "notes:read"))
    pk = create(as_alice, category="Work")
    agent.pull()
    for change in ({"category": "Private"}, {"content": "x"}, {"content": "y"}):
        as_alice.patch(f"{NOTES}/{pk}", change, format="json")
    Revision.objects.update(replaced_at=timezone.now() - dt.timedelta(days=365))
    for _ in range(3):
        revisions.thin_due()
    assert Revision.objects.count() == 2
    assert [change["deleted"] for change in agent.pull()] == [True]
    as_alice.delete(f"{NOTES}/{pk}?permanent=true")
    assert agent.pull()[0]["deleted"]


def test_a_limited_token_is_not_told_foreign_client_ids(as_alice, alice):
    agent = Client(limited(alice, "Work", "notes:read"))
    agent.pull()
    (made,) = push(as_alice, {"op": "create", "client_id": "Diary/1", "title": "private"})
    as_alice.delete(f"{NOTES}/{made['id']}?permanent=true")
    assert not any("client_id" in change for change in agent.pull())


def push(client, *operations, **headers):
    response = client.post(SYNC, {"changes": operations}, format="json", **headers)
    assert response.status_code == 200
    return response.json()["results"]


class TestBatches:
    def test_each_operation_is_answered_by_itself(self, as_alice, as_carol):
        mine, other, hers = create(as_alice), create(as_alice), create(as_carol)
        results = push(
            as_alice,
            {"op": "create", "client_id": "a", "title": "A", "content": "text", "category": "W"},
            {"op": "update", "client_id": "a", "base_version": 1, "title": "A2"},
            {"op": "update", "id": mine, "base_version": 7, "title": "stale"},
            {"op": "update", "id": mine, "base_version": 1, "content": "new"},
            {"op": "delete", "id": other, "base_version": 1},
            {"op": "update", "id": other, "base_version": 1, "title": "too late"},
            {"op": "delete", "id": other, "base_version": 1},
            {"op": "update", "id": hers, "base_version": 1, "title": "mine now"},
            {"op": "delete", "id": hers, "base_version": 1},
            {"op": "update", "client_id": "unknown", "base_version": 1, "title": "x"},
            {"op": "update", "id": mine, "title": "x"},
            {"op": "create", "title": 1},
            {"op": "fly"},
            "nonsense",
            None,
        )
        told = [
            (result["status"], result.get("version"), result.get("deleted")) for result in results
        ]
        assert told == [
            ("applied", 1, False),
            ("applied", 2, False),
            ("conflict", 2, False),  # as it is after all of the batch
            ("applied", 2, False),
            ("applied", None, True),
            ("conflict", None, True),
            ("applied", None, True),
            *8 * [("refused", None, None)],
        ]
        assert results[0]["client_id"] == results[1]["client_id"] == "a"
        assert results[2]["note"]["title"] == "t"
        assert results[2]["problem"]["code"] == "stale_version"
        assert results[5]["problem"]["code"] == "deleted"
        assert [result["problem"]["status"] for result in results[7:]] == [404] * 3 + [400] * 5
        assert all(result["problem"]["detail"].endswith(".") for result in results[7:])
        assert "note" not in results[0]
        note = Note.objects.get(pk=results[0]["id"])
        assert (note.title, note.content, note.category) == ("A2", "text", "W")
        assert Note.objects.get(pk=hers).version == 1

    def test_a_deletion_of_an_earlier_version_is_a_conflict(self, as_alice):
        pk = create(as_alice)
        as_alice.patch(f"{NOTES}/{pk}", {"title": "newer"}, format="json")
        (result,) = push(as_alice, {"op": "delete", "id": pk, "base_version": 1})
        assert (result["status"], result["problem"]["code"]) == ("conflict", "stale_version")
        assert result["note"]["title"] == "newer"
        assert Note.objects.get(pk=pk).trashed_at is None

    def test_the_same_batch_twice_has_one_effect(self, as_alice, follower):
        one, two = create(as_alice), create(as_alice)
        operations = [
            {"op": "create", "client_id": "a", "title": "A"},
            {"op": "update", "id": one, "base_version": 1, "title": "one"},
            {"op": "delete", "id": two, "base_version": 1},
        ]
        first = push(as_alice, *operations)
        after = list(Note.objects.order_by("pk").values("pk", "title", "version", "trashed_at"))
        again = push(as_alice, *operations)
        assert [result["status"] for result in again] == ["applied"] * 3
        assert [result["id"] for result in again] == [result["id"] for result in first]
        assert after == list(
            Note.objects.order_by("pk").values("pk", "title", "version", "trashed_at")
        )

    def test_sent_again_after_somebody_else_went_on(self, as_alice, alice):
        one = create(as_alice)
        operation = {"op": "update", "id": one, "base_version": 1, "content": "mine"}
        push(as_alice, operation)
        client_of(alice).patch(f"{NOTES}/{one}", {"content": "theirs"}, format="json")
        (result,) = push(as_alice, operation)
        assert (result["status"], result["version"]) == ("applied", 3)
        assert result["note"]["content"] == "theirs"

    def test_a_creation_sent_again_brings_nothing_back(self, as_alice):
        operation = {"op": "create", "client_id": "a", "title": "A"}
        (first,) = push(as_alice, operation)
        for query in ("", "?permanent=true"):
            as_alice.delete(f"{NOTES}/{first['id']}{query}")
            (again,) = push(as_alice, operation)
            assert again == {
                "status": "applied",
                "client_id": "a",
                "id": first["id"],
                "deleted": True,
            }
        update = {"op": "update", "id": first["id"], "base_version": 1, "title": "x"}
        (result,) = push(as_alice, update)
        assert (result["status"], result["deleted"]) == ("conflict", True)
        (result,) = push(as_alice, {"op": "delete", "id": first["id"], "base_version": 1})
        assert result["status"] == "applied"

    def test_client_ids_are_told_in_the_feed_and_are_each_users_own(
        self, as_alice, as_carol, follower
    ):
        push(as_alice, {"op": "create", "client_id": "a", "title": "A"})
        (hers,) = push(as_carol, {"op": "create", "client_id": "a", "title": "C"})
        (change,) = follower.pull()
        assert change["client_id"] == "a"
        assert change["id"] != hers["id"]

    def test_the_same_client_id_twice_in_a_batch(self, as_alice):
        operation = {"op": "create", "client_id": "a", "title": "A"}
        one, two = push(as_alice, operation, operation)
        assert one["id"] == two["id"]

    def test_merged_where_preferred(self, as_alice, alice):
        one = create(as_alice, content="a\nb\nc\nd\n")
        client_of(alice).patch(f"{NOTES}/{one}", {"content": "A\nb\nc\nd\n"}, format="json")
        clean = {"op": "update", "id": one, "base_version": 1, "content": "a\nb\nc\nD\n"}
        overlapping = {"op": "update", "id": one, "base_version": 1, "content": "X\nb\nc\nd\n"}
        merged, conflict = push(as_alice, clean, overlapping, HTTP_PREFER="merge")
        assert (merged["status"], merged["merged"]) == ("applied", True)
        assert merged["note"]["content"] == "A\nb\nc\nD\n"
        assert (conflict["status"], conflict["problem"]["code"]) == ("conflict", "merge_conflict")
        assert conflict["note"]["content"] == "A\nb\nc\nD\n"
        (again,) = push(as_alice, clean, HTTP_PREFER="merge")
        assert (again["status"], again["version"]) == ("applied", merged["version"])

    def test_a_used_client_id_is_no_second_note(self, as_alice, alice):
        create = {"op": "create", "client_id": "1", "title": "A", "content": "from A"}
        (first,) = push(as_alice, create)
        for other in ({"content": "from B"}, {"title": "B"}, {"category": "B"}):
            (refused,) = push(client_of(alice), {**create, **other})
            assert (refused["status"], refused["problem"]["code"]) == ("refused", "client_id_used")
        as_alice.delete(f"{NOTES}/{first['id']}?permanent=true")
        (refused,) = push(client_of(alice), {**create, "title": "B"})
        assert refused["problem"]["code"] == "client_id_used"
        assert push(as_alice, create)[0]["status"] == "applied"
        spaces, number = {**create, "client_id": "1 "}, {**create, "client_id": 1}
        assert [result["status"] for result in push(as_alice, spaces, number)] == [
            "applied",
            "refused",
        ]

    def test_a_chain_of_changes_sent_twice(self, as_alice, alice):
        """What a batch wrote is kept whole: its sender may come back with any version of it."""
        operations = [
            {"op": "create", "client_id": "a", "title": "", "content": "a"},
            {"op": "update", "client_id": "a", "base_version": 1, "content": "ab"},
            {"op": "update", "client_id": "a", "base_version": 2, "content": "abc"},
        ]
        push(as_alice, *operations)
        again = push(as_alice, *operations)
        assert [result["status"] for result in again] == ["applied"] * 3
        pk = again[0]["id"]
        client_of(alice).get(f"{NOTES}/{pk}")
        more = {"op": "update", "id": pk, "base_version": 3, "content": "abcd"}
        last = {"op": "update", "id": pk, "base_version": 4, "content": "abcde"}
        push(as_alice, more)
        assert [result["version"] for result in push(as_alice, more, last)] == [5, 5]

    def test_the_answer_holds_a_page_of_text_at_most(self, as_alice):
        ids = [create(as_alice, content="x" * 2**20) for _ in range(20)]
        results = push(as_alice, *({"op": "delete", "id": pk, "base_version": 7} for pk in ids))
        assert {(result["status"], result["version"]) for result in results} == {("conflict", 1)}
        assert sum("note" in result for result in results) == 8

    def test_merging_has_a_budget(self, as_alice, monkeypatch):
        monkeypatch.setattr(sync_actions, "MERGING_SECONDS", 1e-9)
        pk = create(as_alice, content="a\nb\nc\n")
        as_alice.patch(f"{NOTES}/{pk}", {"content": "A\nb\nc\n"}, format="json")
        operation = {"op": "update", "id": pk, "base_version": 1, "content": "a\nb\nC\n"}
        other = {**operation, "content": "a\nb\nc\nd\n"}
        merged, refused = push(as_alice, operation, other, HTTP_PREFER="merge")
        assert (merged["status"], refused["problem"]["code"]) == ("applied", "stale_version")

    def test_at_most_five_hundred(self, as_alice):
        operation = {"op": "create", "title": "x"}
        for body in ({"changes": [operation] * 501}, {}, {"changes": {}}, []):
            assert as_alice.post(SYNC, body, format="json").status_code == 400
        assert not Note.objects.exists()
        assert len(push(as_alice, *[operation] * 500)) == 500
        assert Note.objects.count() == 500

    def test_server_fields_are_refused_by_name(self, as_alice, bob):
        sent = {"owner": bob.pk, "version": 7, "trashed_at": "2026-01-01"}
        (result,) = push(as_alice, {"op": "create", "title": "x", **sent})
        assert result["status"] == "refused"
        assert {each["field"] for each in result["problem"]["errors"]} == {*sent}
        assert not Note.objects.exists()


def test_queries_of_sync(as_alice, follower):
    for number in range(5):
        create(as_alice, str(number))
    follower.pull()
    create(as_alice)
    with CaptureQueriesContext(connection) as queries:
        as_alice.get(SYNC, {"cursor": follower.cursor, "limit": 20})
    # session; generation; position; changes with notes and files; mark as given: savepoint, lock,
    # mark, read again, release
    assert len(queries) == 9
    with CaptureQueriesContext(connection) as queries:
        as_alice.get(SYNC, {"cursor": follower.cursor})
    assert len(queries) == 5  # one more for what the page weighs, none to mark
    with CaptureQueriesContext(connection) as queries:
        as_alice.get(f"{SYNC}/digest")
    assert len(queries) == 4  # session; generation; position; ids and versions
    pk = Note.objects.latest("pk").pk
    with CaptureQueriesContext(connection) as queries:
        push(as_alice, {"op": "update", "id": pk, "base_version": 1, "content": "x"})
    # session; savepoint; locks; feed; note; savepoint; lock; revision; update; feed (twice on
    # SQLite); release; release
    assert len(queries) == 12 + (connection.vendor == "sqlite")
