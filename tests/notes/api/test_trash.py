import datetime as dt

import pytest
from django.utils import timezone

from accounts.callers import Caller
from notes.actions import notes as actions
from notes.models import Attachment, Change, Note, Revision
from tests.conftest import client_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


@pytest.fixture
def url(as_alice):
    note = as_alice.post(NOTES, {"title": "t", "content": "c"}, format="json").json()
    return f"{NOTES}/{note['id']}"


def ids(client, query=""):
    return [note["id"] for note in client.get(f"{NOTES}{query}").json()["results"]]


def test_delete_moves_to_the_trash(as_alice, as_carol, url):
    pk = int(url.rpartition("/")[2])
    assert as_alice.delete(url).status_code == 204
    assert as_alice.get(url).status_code == 404
    assert as_alice.delete(url).status_code == 404
    for method, path, body in (
        ("put", "", {"title": "x"}),
        ("patch", "", {"title": "x"}),
        ("put", "/title", {"title": "x"}),
        ("post", "/edits", {"op": "append", "text": "x"}),
        ("get", "/file", None),
    ):
        assert getattr(as_alice, method)(url + path, body, format="json").status_code == 404
    assert (ids(as_alice), ids(as_alice, "?trashed=true")) == ([], [pk])
    assert ids(as_carol, "?trashed=true") == []
    (trashed,) = as_alice.get(f"{NOTES}?trashed=true").json()["results"]
    assert (trashed["content"], trashed["version"]) == ("c", 2)
    assert trashed["trashed_at"] == trashed["updated_at"]
    assert as_alice.get(f"{url}/revisions/1").json()["content"] == "c"


def test_restore(as_alice, url):
    before = as_alice.get(url).json()
    as_alice.delete(url)
    restored = as_alice.post(f"{url}/restore")
    assert (restored.status_code, restored.headers["ETag"]) == (200, '"3"')
    assert {**restored.json(), "version": 1, "updated_at": 0} == {**before, "updated_at": 0}
    assert as_alice.post(f"{url}/restore").json() == restored.json()
    assert as_alice.get(url).json() == restored.json()


@pytest.mark.parametrize("is_trashed", [True, False])
def test_permanent_deletion(as_alice, url, stored_keys, is_trashed, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    cursor = as_alice.get("/api/v1/sync").json()["cursor"]
    with (tmp_path / "f").open("rb") as file:
        as_alice.put(f"{url}/file", {"file": file}, format="multipart")
    as_alice.patch(url, {"content": "d"}, format="json")
    if is_trashed:
        as_alice.delete(url)
        assert len(stored_keys()) == 1
    assert as_alice.delete(f"{url}?permanent=maybe").status_code == 400
    response = as_alice.delete(f"{url}?permanent=true")
    assert response.status_code == 204
    assert as_alice.delete(f"{url}?permanent=true").status_code == 404
    assert as_alice.post(f"{url}/restore").status_code == 404
    for model in (Note, Revision, Attachment):
        assert not model.objects.exists()
    (change,) = as_alice.get(f"/api/v1/sync?cursor={cursor}").json()["changes"]
    assert (change["id"], change["deleted"]) == (int(url.rpartition("/")[2]), True)


def test_the_worker_empties_the_trash_after_thirty_days(alice, as_alice, url, stored_keys):
    old, recent = url, f"{NOTES}/{as_alice.post(NOTES, {'title': 'r'}, format='json').json()['id']}"
    for one in (old, recent):
        as_alice.delete(one)
    live = actions.create_note(title="live", content="", by=Caller(alice), now=timezone.now())
    month = dt.timedelta(days=30)
    pk = int(old.rpartition("/")[2])
    Note.objects.filter(pk=pk).update(trashed_at=timezone.now() - month)
    almost = timezone.now() - month + dt.timedelta(minutes=1)
    Note.objects.filter(pk=int(recent.rpartition("/")[2])).update(trashed_at=almost)
    assert actions.purge_due() is False
    assert set(Note.objects.values_list("pk", flat=True)) == {
        live.pk,
        int(recent.rpartition("/")[2]),
    }
    assert Change.objects.filter(user=alice).count() == 3  # the tombstone stays
    assert ids(as_alice, "?trashed=true") == [int(recent.rpartition("/")[2])]


def test_the_trash_is_emptied_in_batches(alice, monkeypatch):
    monkeypatch.setattr(actions, "PURGE_BATCH_SIZE", 2)
    long_ago = timezone.now() - dt.timedelta(days=40)
    for _ in range(5):
        actions.create_note(title="t", content="", by=Caller(alice), now=long_ago)
    Note.objects.update(trashed_at=long_ago)
    runs = 1
    while actions.purge_due():
        runs += 1
    assert (runs, Note.objects.count()) == (3, 0)


def test_a_client_of_another_session_sees_the_trash_too(alice, as_alice, url):
    as_alice.delete(url)
    assert len(ids(client_of(alice), "?trashed=true&limit=1")) == 1
