"""Deleting what nothing points at, also where single objects cannot be deleted."""

import datetime as dt

import pytest
from django.core.management import call_command
from django.utils import timezone

from notes.files import objects, reconciling, storage
from notes.models import StoredObject
from tests.notes.files import add

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def unused(as_alice, stored_keys):
    """Six objects that nothing points at, in the order in which they are swept."""
    note = as_alice.post("/api/v1/notes", {"title": "t"}, format="json").json()
    url = f"/api/v1/notes/{note['id']}"
    for number in range(6):
        add(as_alice, url, b"%d" % number, f"{number}.txt")
    rows = list(StoredObject.objects.order_by("pk"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(storage, "delete", refuse)
        as_alice.delete(f"{url}?permanent=true")
    assert len(stored_keys()) == 6
    StoredObject.objects.update(deletion_failed=None, deletion_due_at=None)
    return rows


def refuse(key):
    raise storage.StorageUnavailable


@pytest.fixture
def stubborn(monkeypatch, unused):
    """The keys of objects that the storage does not delete."""
    keys, delete = {unused[1].key}, storage.delete
    monkeypatch.setattr(storage, "delete", lambda k: refuse(k) if k in keys else delete(k))
    return keys


def test_one_that_cannot_be_deleted_keeps_no_other(unused, stubborn, stored_keys, client, caplog):
    now = timezone.now()
    assert objects.sweep(now=now) == 5
    assert stored_keys() == stubborn
    # It is tried again, after longer and longer pauses.
    attempts = []
    for minutes in range(60):
        before = StoredObject.objects.get().deletion_failed
        try:
            objects.sweep(now=now + dt.timedelta(minutes=minutes))
        except storage.StorageUnavailable:
            attempts.append(minutes)
        assert StoredObject.objects.get().deletion_failed == before + (minutes in attempts)
    assert attempts == [0, 1, 4, 11, 26, 57]
    assert client.get("/health").json()["checks"]["deletions"] == "1 not deleted"
    report = reconciling.reconcile(now=now)
    assert report.stuck == [unused[1].key]
    assert report.is_whole
    assert not report.is_clean
    stubborn.clear()
    assert objects.sweep(now=now + dt.timedelta(days=2)) == 1
    assert not StoredObject.objects.exists()
    assert client.get("/health").json()["checks"]["deletions"] == "ok"


def test_reconciling_names_it(unused, stubborn, capsys):
    StoredObject.objects.filter(key__in=stubborn).update(
        deletion_failed=3, deletion_due_at=timezone.now() + dt.timedelta(days=1)
    )
    call_command("reconcile_storage")
    assert f"cannot be deleted: {unused[1].key}" in capsys.readouterr().out


def test_a_storage_that_is_away_is_asked_three_times(unused, stubborn, stored_keys):
    stubborn.update(row.key for row in unused)
    with pytest.raises(storage.StorageUnavailable):
        objects.sweep(now=timezone.now())
    assert StoredObject.objects.exclude(deletion_failed=None).count() == 3
    stubborn.clear()
    assert objects.sweep(now=timezone.now()) == 6
    assert stored_keys() == set()
