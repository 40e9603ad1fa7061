"""``reconcile_storage`` on both storages."""

import datetime as dt
import io

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from notes.actions import uploads
from notes.files import objects, reconciling, storage, thumbnails
from notes.models import Attachment, KeptFile, StoredObject, Thumbnail, Upload
from tests.notes.files import add, fetch, image, new_note, path_of, replace
from tests.notes.uploads import announce, at, send, send_parts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(as_alice):
    return new_note(as_alice)


def run(*options):
    """Return what the command says, and its exit code."""
    told, code = io.StringIO(), 0
    try:
        call_command("reconcile_storage", "--grace=0", *options, stdout=told)
    except SystemExit as end:
        code = end.code
    return told.getvalue(), code


def put(key, content):
    writer = storage.open_writer(key, on_parts=lambda _: None)
    writer.write(content)
    writer.finish()


def test_all_is_well(as_alice, url, stored_keys):
    add(as_alice, url, b"one")
    add(as_alice, url, image())
    for options in ((), ("--dry-run",), ("--verify",)):
        told, code = run(*options)
        assert code == 0
        assert "2 objects checked: 0 lost, 0 wrong; 0 swept, 0 without a row" in told
    assert len(stored_keys()) == 2


def test_what_is_lost_is_named_with_its_notes(as_alice, url, stored_keys):
    add(as_alice, url, b"one")
    add(as_alice, url, b"two")
    key = StoredObject.objects.get(size=3, attachments=Attachment.objects.first()).key
    default_storage.remove(key)
    told, code = run()
    assert code == 1
    assert f"lost: {key} (of notes {url.rpartition('/')[2]})" in told
    assert "2 objects checked: 1 lost, 0 wrong" in told


@pytest.mark.parametrize(("content", "options"), [(b"on", ()), (b"eno", ("--verify",))])
def test_what_is_wrong(as_alice, url, stored_keys, content, options):
    add(as_alice, url, b"one")
    key = StoredObject.objects.get().key
    default_storage.remove(key)
    put(key, content)
    assert run()[1] == (0 if options else 1)  # of the same size only reading tells
    for again in (options, ()):  # and then it is known
        told, code = run(*again)
        assert (code, f"wrong: {key}" in told) == (1, True)


@pytest.mark.parametrize("damage", [None, b"on", b"eno"])
def test_the_same_bytes_again_mend_what_is_damaged(as_alice, url, stored_keys, damage):
    """Wherever the file is: in this note, in others, in their history."""
    photo = image()
    before = add(as_alice, url, photo).json()
    other = add(as_alice, new_note(as_alice), photo).json()
    as_alice.delete(path_of(before["url"]))
    stored = StoredObject.objects.get(size=len(photo))
    default_storage.remove(stored.key)
    if damage:
        put(stored.key, damage.ljust(len(photo)) if damage == b"eno" else damage)
    assert run("--verify", "--dry-run")[1] == 1
    assert StoredObject.objects.get(pk=stored.pk).damaged_at is None
    assert run("--verify")[1] == 1

    StoredObject.objects.update(thumbnails_due_at=None, thumbnails_failed=3)
    again = add(as_alice, url, photo).json()
    mended = StoredObject.objects.get()
    assert (mended.damaged_at, mended.thumbnails_failed) == (None, None)
    assert mended.thumbnails_due_at is not None
    told, code = run("--verify")
    assert (code, "1 objects checked: 0 lost, 0 wrong; 0 swept, 0 without a row" in told) == (
        0,
        True,
    )
    assert StoredObject.objects.get().pk == stored.pk
    old = f"{url}/revisions/2/attachments/{before['id']}"
    for address in (again["url"], other["url"], old):
        assert fetch(as_alice, address)[2] == photo
    assert len(stored_keys()) == 1


@pytest.mark.parametrize("how", ["direct", "main file", "replaced"])
def test_every_way_of_uploading_mends_at_once(as_alice, url, stored_keys, how):
    """Also before anybody has found out, which takes up to a day."""
    lost, other = b"direct", new_note(as_alice)
    file = add(as_alice, url, lost).json()
    default_storage.remove(StoredObject.objects.get().key)
    if how == "direct":
        upload = announce(as_alice, other, lost).json()
        assert send(upload["url"], lost, upload["headers"]) == 200
        assert as_alice.post(f"{at(upload, other)}/complete").status_code == 200
    elif how == "main file":
        assert replace(as_alice, f"{other}/file", lost).status_code == 200
    else:
        before = add(as_alice, other, b"other").json()
        assert replace(as_alice, path_of(before["url"]), lost).status_code == 200
    assert fetch(as_alice, file["url"])[2] == lost
    told, code = run("--verify")
    assert (code, "0 lost, 0 wrong; 0 swept, 0 without a row" in told) == (0, True)


def test_what_is_refused_mends_nothing_and_loses_nothing(as_alice, url, stored_keys):
    add(as_alice, url, b"one")
    key = StoredObject.objects.get().key
    default_storage.remove(key)
    run()
    assert add(as_alice, url, b"one", HTTP_IF_MATCH='"99"').status_code == 412
    assert (StoredObject.objects.get().key, stored_keys()) == (key, set())


def test_who_dies_before_he_mends_leaves_nothing(as_alice, url, stored_keys, monkeypatch):
    class Died(BaseException):
        pass

    def die(*args, **kwargs):
        raise Died

    file = add(as_alice, url, b"one").json()
    default_storage.remove(StoredObject.objects.get().key)
    run()
    for step in ("head", "delete"):  # before and after the rows exchange their keys
        with monkeypatch.context() as patched:
            patched.setattr(storage, step, die)
            with pytest.raises(Died):
                add(as_alice, url, b"one")
    assert fetch(as_alice, file["url"])[2] == b"one"
    objects.sweep(now=timezone.now() + dt.timedelta(hours=3))
    told, code = run("--verify")
    assert (code, "1 objects checked: 0 lost, 0 wrong" in told) == (0, True)
    assert len(stored_keys()) == StoredObject.objects.count() == 1


@pytest.mark.parametrize("limit", ["MAX_ACCOUNT_BYTES", "MAX_ACCOUNT_FILES"])
@pytest.mark.parametrize("is_direct", [True, False])
def test_a_full_account_can_mend_what_it_has(
    as_alice, url, stored_keys, settings, limit, is_direct
):
    large = b"x" * 2**17
    file = add(as_alice, url, large).json()
    setattr(settings, limit, len(large) if limit == "MAX_ACCOUNT_BYTES" else 1)
    assert add(as_alice, url, b"y").json()["code"] == "quota_exceeded"
    default_storage.remove(StoredObject.objects.get().key)
    run()
    if is_direct:
        upload = announce(as_alice, url, large).json()
        assert send(upload["url"], large, upload["headers"]) == 200
        assert as_alice.post(f"{at(upload, url)}/complete").status_code == 200
    else:
        assert add(as_alice, url, large).status_code == 201
    assert fetch(as_alice, file["url"])[2] == large
    assert add(as_alice, url, b"y").json()["code"] == "quota_exceeded"


def test_lost_thumbnails_are_made_anew(as_alice, url, stored_keys, monkeypatch):
    file = add(as_alice, url, image()).json()
    thumbnails.make_due()
    shown = Thumbnail.objects.get(size=96)
    default_storage.remove(shown.object.key)
    assert run("--dry-run")[1] == 1
    with monkeypatch.context() as patched:  # who dies in between is followed by another
        patched.setattr(thumbnails, "make_again", None)
        with pytest.raises(TypeError):
            run()
    assert run()[1] == 1
    thumbnails.make_due()
    objects.sweep(now=timezone.now())
    assert fetch(as_alice, f"{file['thumbnail']}?size=96")[0] == 200
    told, code = run("--verify")
    assert (code, "4 objects checked: 0 lost, 0 wrong" in told) == (0, True)
    assert len(stored_keys()) == 4


def test_what_comes_back_is_not_damaged_any_more(as_alice, url, stored_keys):
    add(as_alice, url, b"one")
    key = StoredObject.objects.get().key
    default_storage.remove(key)
    assert run()[1] == 1
    put(key, b"eno")
    told, code = run()  # what was damaged is read through
    assert (code, f"wrong: {key}" in told) == (1, True)
    default_storage.remove(key)
    put(key, b"one")
    assert run()[1] == 0
    assert StoredObject.objects.get().damaged_at is None


def test_objects_without_a_row_go(as_alice, url, stored_keys):
    add(as_alice, url, b"one")
    kept = stored_keys()
    orphans = {storage.new_key(), storage.arriving(storage.new_key())}
    for key in orphans:
        put(key, b"x")
    assert reconciling.reconcile(now=timezone.now()).is_clean  # they are too young
    told, code = run("--dry-run")
    assert code == 1
    assert all(f"without a row, would be deleted: {key}" in told for key in orphans)
    assert stored_keys() == kept | orphans
    assert run()[1] == 0
    assert stored_keys() == kept


def test_the_worker_leaves_what_it_does_not_know(as_alice, url, stored_keys, monkeypatch):
    """A database that was restored, or is another one, does not know the files that are there."""
    add(as_alice, url, b"one")
    KeptFile.objects.all().delete()
    Attachment.objects.all().delete()
    StoredObject.objects.all().delete()
    later = timezone.now() + dt.timedelta(days=400)
    monkeypatch.setattr(reconciling.timezone, "now", lambda: later)
    before = stored_keys()
    reconciling.reconcile_due()
    assert stored_keys() == before


def test_unfinished_uploads_are_dropped(as_alice, url, bucket, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * 2**20)
    content = b"x" * 6 * 2**20
    upload = announce(as_alice, url, content).json()
    send_parts(as_alice.get(at(upload, url)).json(), content, {1})
    orphan = storage.new_key()
    storage.begin_parts(orphan)
    told, code = run("--dry-run")
    assert (code, f"unfinished upload, would be deleted: {orphan}" in told) == (1, True)
    assert run()[1] == 0
    (left,) = storage.unfinished()
    assert left.key == StoredObject.objects.get().key  # somebody may go on with it
    Upload.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    run()
    assert list(storage.unfinished()) == []
    assert not StoredObject.objects.exists()


def test_what_a_client_is_sending_is_left(as_alice, url, stored_keys):
    upload = announce(as_alice, url).json()
    send(upload["url"], b"direct", upload["headers"])
    before = stored_keys()
    assert len(before) == 1
    assert run()[1] == 0
    assert stored_keys() == before


def test_what_changes_while_it_looks_is_no_finding(as_alice, url, stored_keys, monkeypatch):
    add(as_alice, url, b"one")
    lists = storage.listed

    def old_list(**options):
        found = list(lists(**options))
        if not options:
            add(as_alice, url, b"new")
            as_alice.delete(f"{url}?permanent=true")
            add(as_alice, new_note(as_alice), b"later")
        return iter(found)

    monkeypatch.setattr(storage, "listed", old_list)
    told, code = run()
    assert code == 0
    assert ": 0 lost, 0 wrong" in told
    assert len(stored_keys()) == StoredObject.objects.count() == 1


def test_a_storage_that_does_not_answer(as_alice, url, s3, settings):
    add(as_alice, url)
    options = {
        "bucket_name": "gone",
        "region_name": "us-east-1",
        "access_key": "k",
        "secret_key": "s",
        "endpoint_url": "http://127.0.0.1:9",
    }
    backend = {"BACKEND": "notes.files.s3.BucketStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    with pytest.raises(CommandError, match="does not answer") as refusal:
        run()
    assert refusal.value.returncode == 2
    reconciling.reconcile_due()  # the worker goes on
    assert StoredObject.objects.count() == 1


@pytest.mark.postgresql
def test_a_storage_that_fails_leaves_no_cursor_open(as_alice, stored_keys, monkeypatch):
    """The collector would close it during another query of the thread, which waits for ever."""

    def failing():
        yield from ()
        raise storage.StorageUnavailable

    add(as_alice, new_note(as_alice), b"x", "f.txt")
    monkeypatch.setattr(storage, "listed", failing)
    with transaction.atomic():
        with pytest.raises(storage.StorageUnavailable) as raised:
            reconciling.reconcile(now=timezone.now(), dry_run=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_cursors WHERE name LIKE '_django_curs%'")
            assert cursor.fetchall() == []
    assert raised.value.__traceback__  # which holds the frames
