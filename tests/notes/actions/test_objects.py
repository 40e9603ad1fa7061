"""The sweeper and people's pictures: what crashes leave is cleaned, what is used is not."""

import datetime as dt
import io

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actions import avatars
from accounts.models import Avatar
from notes.actions import file_service
from notes.files import objects, storage
from notes.models import StoredObject
from tests.accounts.avatars import (
    AVATAR,
    ME,
    colour_of,
    keys_of_rows,
    path_of,
    picture,
    put,
)
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db(transaction=True)


class Died(BaseException):
    pass


def die_in(patched, module, name, *, after=0):
    """Have the process die in the call of ``name`` that follows the first ``after``."""
    real, left = getattr(module, name), [after]

    def die(*args, **kwargs):
        if not left[0]:
            raise Died
        left[0] -= 1
        return real(*args, **kwargs)

    patched.setattr(module, name, die)


@pytest.fixture
def later():
    return timezone.now() + dt.timedelta(hours=2)


def test_a_picture_is_never_swept(as_alice, anonymous, stored_keys, later):
    path = path_of(put(as_alice, picture("red")).json())
    assert objects.sweep(now=later) == 0
    assert colour_of(anonymous.get(path)) == "red"
    assert stored_keys() == keys_of_rows()
    assert len(stored_keys()) == 3


@pytest.mark.parametrize("how", ["replace", "remove", "account", "row"])
def test_after_the_commit_that_let_go(
    as_alice, alice, bob, anonymous, stored_keys, monkeypatch, later, how
):
    as_bob = client_of(bob)
    kept = path_of(put(as_bob, picture("blue")).json())
    path = path_of(put(as_alice, picture("red")).json())

    def delete_row():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM accounts_user WHERE id = %s", [alice.pk])
        raise Died

    let_go = {
        "replace": lambda: put(as_alice, picture("lime")),
        "remove": lambda: as_alice.delete(AVATAR),
        "account": lambda: as_alice.delete(ME, {"password": PASSWORD}, format="json"),
        "row": delete_row,
    }
    with monkeypatch.context() as patched:
        die_in(patched, storage, "delete")
        with pytest.raises(Died):
            let_go[how]()
    left = 6 if how == "replace" else 3
    assert len(stored_keys()) == left + 3
    assert Avatar.objects.count() == left
    assert objects.sweep(now=timezone.now()) == 3
    assert (
        stored_keys() == keys_of_rows() == set(StoredObject.objects.values_list("key", flat=True))
    )
    assert colour_of(anonymous.get(kept)) == "blue"
    if how == "replace":
        assert colour_of(anonymous.get(path)) == "green"
    assert objects.sweep(now=later) == 0


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        (storage, "open_writer", 0),
        (storage, "open_writer", 1),
        (storage, "open_writer", 2),
        (file_service, "make_ready", 0),
        (file_service, "make_ready", 2),
        (objects, "delete_after_commit", 0),
        (avatars.secrets, "token_urlsafe", 0),
    ],
)
@pytest.mark.parametrize("had_one", [False, True])
def test_before_the_commit(
    as_alice, alice, anonymous, stored_keys, monkeypatch, later, module, name, after, had_one
):
    path = path_of(put(as_alice, picture("red")).json()) if had_one else None
    with monkeypatch.context() as patched:
        die_in(patched, module, name, after=after)
        if had_one and name == "token_urlsafe":
            assert put(as_alice, picture("red")).status_code == 200  # it has an address already
        else:
            with pytest.raises(Died):
                put(as_alice, picture("blue"))
    assert objects.sweep(now=timezone.now()) == 0  # it could still be on its way
    objects.sweep(now=later)
    assert (
        stored_keys() == keys_of_rows() == set(StoredObject.objects.values_list("key", flat=True))
    )
    alice.refresh_from_db()
    if path is None:
        assert (alice.avatar_id, stored_keys()) == (None, set())
    else:
        assert colour_of(anonymous.get(path)) == "red"


def test_a_sweep_too_early_gives_the_upload_up_and_keeps_the_old_picture(
    as_alice, anonymous, stored_keys, monkeypatch, later
):
    path = path_of(put(as_alice, picture("red")).json())
    opens = storage.open_writer

    def slow(*args, **kwargs):
        objects.sweep(now=later)
        return opens(*args, **kwargs)

    monkeypatch.setattr(storage, "open_writer", slow)
    response = put(as_alice, picture("blue"))
    assert (response.status_code, response.json()["code"]) == (503, "upload_too_slow")
    assert colour_of(anonymous.get(path)) == "red"
    assert stored_keys() == keys_of_rows()
    assert len(stored_keys()) == 3


def test_deleting_an_account_deletes_its_files_and_its_picture(as_alice, bob, stored_keys):
    put(client_of(bob), picture())
    kept = stored_keys()
    put(as_alice, picture())
    note = as_alice.post("/api/v1/notes", {"title": "t"}, format="json").json()
    file = io.BytesIO(b"file")
    file.name = "f.txt"
    as_alice.put(f"/api/v1/notes/{note['id']}/file", {"file": file}, format="multipart")
    assert len(stored_keys()) == 7
    assert as_alice.delete(ME, {"password": PASSWORD}, format="json").status_code == 204
    assert stored_keys() == kept == keys_of_rows()


def test_reading_what_there_is_and_what_there_is_not(stored_keys):
    key = objects.store(content=io.BytesIO(b"content"), content_type="text/plain")
    assert objects.read(key=key) == b"content"
    objects.discard(key)
    assert objects.read(key=key) is None
    assert not StoredObject.objects.exists()
