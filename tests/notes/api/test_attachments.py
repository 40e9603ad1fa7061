"""``notes/{id}/attachments``: many files a note, on both storages."""

import datetime as dt
import json

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from notes import history
from notes.actions import revisions
from notes.files import objects
from notes.models import Attachment, Change, KeptFile, Note, Revision, StoredObject
from notes.models.attachments import MAX_FILES, File, join
from tests.notes.files import NOTES, add, fetch, image, new_note, path_of, replace, sha256

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(as_alice):
    return new_note(as_alice)


def listed(client, url):
    return client.get(f"{url}/attachments").json()["results"]


def held(client):
    return client.get("/api/v1/auth/me").json()["storage"]


def test_add_list_fetch_rename_replace_remove(as_alice, url, stored_keys):
    answer = add(as_alice, url, b"hello", "hello.txt")
    assert answer.status_code == 201
    first = answer.json()
    number = first["id"]
    address = f"http://testserver{url}/attachments/{number}"
    assert first == {
        "id": number,
        "name": "hello.txt",
        "size": 5,
        "content_type": "text/plain; charset=utf-8",
        "sha256": sha256(b"hello"),
        "width": None,
        "height": None,
        "is_main": False,
        "thumbnail": None,
        "url": address,
    }
    assert (answer.headers["Location"], answer.headers["ETag"]) == (address, '"2"')
    picture = image()
    second = add(as_alice, url, picture, "p.png").json()
    assert (second["width"], second["height"], second["content_type"]) == (40, 30, "image/png")
    assert second["thumbnail"] == f"{second['url']}/thumbnail"
    note = as_alice.get(url).json()
    assert (note["attachments"], note["file"], note["version"]) == ([first, second], None, 3)
    assert listed(as_alice, url) == [first, second]
    assert fetch(as_alice, first["url"])[2] == b"hello"
    assert fetch(as_alice, second["url"])[2] == picture

    answer = as_alice.patch(path_of(address), {"name": "../x\u202e.md"}, format="json")
    assert (answer.status_code, answer.json()["name"]) == (200, "x.md")
    assert "x.md" in fetch(as_alice, address)[1]["Content-Disposition"]
    answer = replace(as_alice, path_of(address), b"other", "o.txt")
    assert (answer.json()["id"], answer.json()["name"]) == (number, "o.txt")
    assert fetch(as_alice, address)[2] == b"other"
    assert as_alice.delete(path_of(address)).status_code == 204
    assert as_alice.delete(path_of(address)).status_code == 404
    assert as_alice.get(path_of(address)).status_code == 404
    assert [each["id"] for each in listed(as_alice, url)] == [second["id"]]
    assert as_alice.get(url).json()["version"] == 6


def test_lists_feed_and_search_tell_of_files(as_alice, url, settings):
    file = add(as_alice, url, name="quarterly.txt").json()
    (note,) = as_alice.get(NOTES).json()["results"]
    assert note["attachments"] == [file]
    settings.FAST_PATH = False
    assert as_alice.get(NOTES).json()["results"] == [note]
    assert as_alice.get("/api/v1/sync").json()["changes"][0]["note"] == note
    for query in ("quarterly", "has:file"):
        found = as_alice.get("/api/v1/search", {"q": query}).json()["results"]
        assert [each["id"] for each in found] == [note["id"]]
    assert as_alice.get(f"{NOTES}?has_file=true").json()["results"] == [note]
    assert as_alice.get(f"{NOTES}?has_file=false").json()["results"] == []


def test_the_main_file_is_one_of_them(as_alice, url, stored_keys):
    other = add(as_alice, url, b"other").json()
    main = replace(as_alice, f"{url}/file", b"main", "main.txt").json()
    files = listed(as_alice, url)
    assert [(each["id"] == other["id"], each["is_main"]) for each in files] == [
        (True, False),
        (False, True),
    ]
    assert {name: files[1][name] for name in ("name", "size", "sha256")} == {
        name: main[name] for name in ("name", "size", "sha256")
    }
    replace(as_alice, path_of(files[1]["url"]), b"again", "again.txt")
    assert as_alice.get(url).json()["file"]["name"] == "again.txt"
    replace(as_alice, f"{url}/file", b"third", "third.txt")
    assert [each["id"] for each in listed(as_alice, url)] == [each["id"] for each in files]
    assert as_alice.delete(f"{url}/file").status_code == 204
    assert listed(as_alice, url) == [other]


class TestPreconditions:
    def test_a_stale_version_is_412_and_leaves_nothing(self, as_alice, url, stored_keys):
        file = add(as_alice, url).json()
        before = stored_keys()
        stale = {"HTTP_IF_MATCH": '"1"'}
        address = path_of(file["url"])
        for answer in (
            add(as_alice, url, b"new", **stale),
            replace(as_alice, address, b"new", **stale),
            as_alice.patch(address, {"name": "n"}, format="json", **stale),
            as_alice.delete(address, **stale),
        ):
            assert (answer.status_code, answer.json()["code"]) == (412, "stale_version")
            assert answer.json()["current"]["attachments"] == [file]
        assert stored_keys() == before
        assert replace(as_alice, address, b"new", HTTP_IF_MATCH='"2"').status_code == 200

    def test_a_key_makes_one_file(self, as_alice, url, stored_keys):
        first = add(as_alice, url, b"once", HTTP_IDEMPOTENCY_KEY="k")
        again = add(as_alice, url, b"once", HTTP_IDEMPOTENCY_KEY="k")
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Location"] == first.headers["Location"]
        assert len(listed(as_alice, url)) == len(stored_keys()) == 1
        other = add(as_alice, url, b"other", HTTP_IDEMPOTENCY_KEY="k")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert len(stored_keys()) == StoredObject.objects.count() == 1
        bad = add(as_alice, url, b"other", HTTP_IDEMPOTENCY_KEY="\x01")
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid_idempotency_key")
        assert len(stored_keys()) == StoredObject.objects.count() == 1

    def test_a_refused_request_may_be_sent_again_with_its_key(self, as_alice, url, stored_keys):
        about = {"HTTP_IDEMPOTENCY_KEY": "k"}
        assert add(as_alice, url, HTTP_IF_MATCH='"9"', **about).status_code == 412
        assert add(as_alice, url, HTTP_IF_MATCH='"1"', **about).status_code == 201
        assert len(stored_keys()) == 1


class TestHistory:
    def test_old_revisions_keep_the_files_they_mention(self, as_alice, url, stored_keys):
        file = add(as_alice, url, b"old", "old.txt").json()
        address = path_of(file["url"])
        replace(as_alice, address, b"new", "new.txt")
        as_alice.delete(address)
        assert objects.sweep(now=timezone.now() + dt.timedelta(days=1)) == 0
        assert len(stored_keys()) == 2
        names = {
            entry["version"]: [each["name"] for each in entry["attachments"]]
            for entry in as_alice.get(f"{url}/revisions").json()["results"]
        }
        assert names == {1: [], 2: ["old.txt"], 3: ["new.txt"]}
        for version, content in ((2, b"old"), (3, b"new")):
            (kept,) = as_alice.get(f"{url}/revisions/{version}").json()["attachments"]
            assert fetch(as_alice, kept["url"])[2] == content
        assert as_alice.get(f"{url}/revisions/4/attachments/{file['id']}").status_code == 404

    def test_a_state_comes_back_with_its_files_under_their_addresses(
        self, as_alice, url, stored_keys
    ):
        file = add(as_alice, url, b"old", "old.txt").json()
        as_alice.delete(path_of(file["url"]))
        added = add(as_alice, url, b"later").json()
        assert added["id"] != file["id"]
        assert as_alice.post(f"{url}/revisions/2/restore").json()["attachments"] == [file]
        assert fetch(as_alice, file["url"])[2] == b"old"
        assert set(Attachment.objects.values_list("pk", flat=True)) == {file["id"]}

    def test_rewinding_brings_files_back(self, as_alice, url, stored_keys):
        file = add(as_alice, url, b"old").json()
        then = timezone.now().isoformat()
        as_alice.delete(path_of(file["url"]))
        (past,) = as_alice.get(NOTES, {"as_of": then}).json()["results"]
        (was,) = past["attachments"]
        assert was == {
            **file,
            "url": f"http://testserver{url}/revisions/2/attachments/{file['id']}",
        }
        assert fetch(as_alice, was["url"])[2] == b"old"
        assert as_alice.post("/api/v1/rewind", {"to": then}, format="json").status_code == 200
        assert listed(as_alice, url) == [file]
        assert fetch(as_alice, file["url"])[2] == b"old"

    def test_for_good_is_for_good(self, as_alice, url, stored_keys):
        file = add(as_alice, url, b"secret", "secret.txt").json()
        other = add(as_alice, url, b"other", "other.txt").json()
        replace(as_alice, path_of(file["url"]), b"secret 2", "secret2.txt")
        as_alice.patch(url, {"content": "x"}, format="json")
        answer = as_alice.delete(f"{path_of(file['url'])}?permanent=true")
        assert (answer.status_code, answer.headers["ETag"]) == (204, '"6"')
        assert len(stored_keys()) == 1
        assert "secret" not in str(list(Revision.objects.values())) + str(
            list(Note.objects.values())
        )
        assert listed(as_alice, url) == [other]
        assert held(as_alice)["bytes"] == 5
        answer = as_alice.post(f"{url}/revisions/4/restore")
        assert [each["name"] for each in answer.json()["attachments"]] == ["other.txt"]

    def test_what_was_removed_can_still_go_for_good(self, as_alice, url, stored_keys):
        file = add(as_alice, url, b"secret").json()
        as_alice.delete(path_of(file["url"]))
        assert len(stored_keys()) == 1
        assert as_alice.delete(path_of(file["url"]) + "?permanent=true").status_code == 204
        assert stored_keys() == set()
        assert as_alice.delete(path_of(file["url"]) + "?permanent=true").status_code == 404
        assert as_alice.post(f"{url}/revisions/2/restore").json()["attachments"] == []

    @pytest.mark.parametrize("gone", ["for good", "doomed", "swept"])
    def test_what_goes_while_it_comes_back_stays_away(
        self, as_alice, url, stored_keys, monkeypatch, gone
    ):
        """A state was read, and its file goes before the note is written."""
        file = add(as_alice, url, b"old").json()
        as_alice.delete(path_of(file["url"]))
        reads = history.get_state

        def late(*args, **kwargs):
            state = reads(*args, **kwargs)
            if gone == "for good":
                KeptFile.objects.all().delete()
                StoredObject.objects.update(state="doomed")
            elif gone == "doomed":
                StoredObject.objects.update(state="doomed")
            else:
                KeptFile.objects.all().delete()
                StoredObject.objects.all().delete()
            return state

        monkeypatch.setattr(history, "get_state", late)
        assert as_alice.post(f"{url}/revisions/2/restore").json()["attachments"] == []
        assert not Attachment.objects.exists()

    def test_thinning_lets_go_of_files(self, as_alice, url, stored_keys, monkeypatch):
        file = add(as_alice, url, b"old").json()
        for content in (b"2", b"3", b"4"):
            replace(as_alice, path_of(file["url"]), content)
        assert len(stored_keys()) == KeptFile.objects.count() + 1 == 4
        # So that all three lie in one hour, whenever this runs.
        hour = timezone.now().replace(minute=30)
        Revision.objects.update(replaced_at=hour)
        monkeypatch.setattr(revisions.timezone, "now", lambda: hour + dt.timedelta(hours=30))
        revisions.thin_due()
        assert objects.sweep(now=timezone.now()) == 2
        assert len(stored_keys()) == 2

    def test_a_batch_of_files_is_one_revision(self, as_alice, url, stored_keys):
        for number in range(5):
            add(as_alice, url, b"%d" % number)
        assert as_alice.get(url).json()["version"] == 6
        assert [
            entry["version"] for entry in as_alice.get(f"{url}/revisions").json()["results"]
        ] == [1]

    def test_the_database_itself_keeps_what_revisions_hold(self, as_alice, url):
        file = add(as_alice, url, b"x").json()
        as_alice.delete(path_of(file["url"]))
        with connection.cursor() as cursor, pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute("DELETE FROM notes_storedobject")
        Revision.objects.all().delete()
        assert not KeptFile.objects.exists()


class TestCopies:
    def test_the_same_bytes_of_an_account_are_stored_once(
        self, as_alice, as_carol, url, stored_keys
    ):
        other = new_note(as_alice)
        addresses = [
            add(as_alice, each, b"same", name).json()["url"]
            for each, name in ((url, "1.txt"), (url, "2.txt"), (other, "3.txt"))
        ]
        assert len(stored_keys()) == StoredObject.objects.count() == 1
        assert (held(as_alice)["bytes"], held(as_alice)["files"]) == (4, 1)
        add(as_carol, new_note(as_carol), b"same")
        assert len(stored_keys()) == 2  # of another account
        for number, address in enumerate(addresses):
            assert fetch(as_alice, address)[2] == b"same"
            as_alice.delete(f"{path_of(address)}?permanent=true")
            assert len(stored_keys()) == (2 if number < 2 else 1)

    def test_one_that_is_being_swept_is_not_taken(self, as_alice, url, stored_keys):
        """It was let go of and doomed; the same bytes come again before it is gone."""
        add(as_alice, url, b"same")
        first = StoredObject.objects.get()
        Note.objects.all().delete()
        StoredObject.objects.update(state="doomed")
        again = new_note(as_alice)
        file = add(as_alice, again, b"same").json()
        assert objects.sweep(now=timezone.now()) == 1
        assert fetch(as_alice, file["url"])[2] == b"same"
        assert stored_keys() == {StoredObject.objects.get().key} != {first.key}


class TestQuota:
    def test_bytes_are_counted(self, as_alice, url, stored_keys, settings):
        settings.MAX_ACCOUNT_BYTES = 10
        assert add(as_alice, url, b"0123456789").status_code == 201
        assert held(as_alice) == {"bytes": 10, "max_bytes": 10, "files": 1, "max_files": 10_000}
        answer = add(as_alice, url, b"x")
        assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
        assert len(stored_keys()) == StoredObject.objects.count() == 1
        assert add(as_alice, url, b"0123456789").status_code == 201  # it is there already
        assert add(as_alice, url, b"").status_code == 201  # which takes nothing

    def test_files_are_counted_too(self, as_alice, url, settings, stored_keys):
        settings.MAX_ACCOUNT_FILES = 2
        for number in range(2):
            assert add(as_alice, url, b"%d" % number).status_code == 201
        answer = add(as_alice, url, b"third")
        assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
        assert "?permanent=true" in answer.json()["detail"]
        assert len(stored_keys()) == 2

    def test_replacing_needs_room_for_both(self, as_alice, url, settings, stored_keys):
        settings.MAX_ACCOUNT_BYTES = 10
        file = add(as_alice, url, b"123456").json()
        assert replace(as_alice, path_of(file["url"]), b"654321").status_code == 413
        assert fetch(as_alice, file["url"])[2] == b"123456"
        assert replace(as_alice, path_of(file["url"]), b"4321").status_code == 200

    def test_a_note_deleted_for_good_makes_room(self, as_alice, url, settings, stored_keys):
        settings.MAX_ACCOUNT_BYTES = 6
        add(as_alice, url, b"123456")
        as_alice.delete(url)
        again = new_note(as_alice)
        assert add(as_alice, again, b"654321").status_code == 413
        as_alice.delete(f"{url}?permanent=true")
        assert add(as_alice, again, b"654321").status_code == 201

    def test_what_cannot_fit_is_refused_before_it_comes(self, as_alice, url, settings, monkeypatch):
        settings.MAX_ACCOUNT_BYTES = 6
        monkeypatch.setattr(objects, "Receiver", None)
        answer = add(as_alice, url, b"x" * 100_000)
        assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")


def test_a_note_has_at_most_100_files(as_alice, url, stored_keys):
    note = Note.objects.get()
    files = [File(10**6 + n, n + 1, "n", 1, "text/plain", "0") for n in range(MAX_FILES)]
    Note.objects.filter(pk=note.pk).update(files=join(files))
    for answer in (add(as_alice, url), replace(as_alice, f"{url}/file", b"x")):
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_files")
    assert stored_keys() == set()


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_what_is_not_of_the_note_is_404(as_alice, as_carol, url, method, stored_keys):
    mine = add(as_alice, url).json()["id"]
    theirs = add(as_carol, new_note(as_carol), b"theirs").json()["id"]
    for number in (theirs, 10**15, 10**30):
        body = {"name": "n"} if method == "patch" else None
        answer = getattr(as_alice, method)(f"{url}/attachments/{number}", body, format="json")
        assert answer.status_code in (404, 415)
        assert (answer.status_code == 404) or method == "put"
    assert [each["id"] for each in listed(as_alice, url)] == [mine]


def test_a_note_in_the_trash_takes_no_file(as_alice, url, stored_keys):
    file = add(as_alice, url).json()
    as_alice.delete(url)
    assert add(as_alice, url, b"y").status_code == 404
    assert as_alice.get(path_of(file["url"])).status_code == 404
    as_alice.post(f"{url}/restore")
    assert fetch(as_alice, file["url"])[2] == b"hello"


def test_attachments_and_what_notes_keep_agree(as_alice, url, stored_keys):
    files = [add(as_alice, url, b"%d" % n).json() for n in range(3)]
    replace(as_alice, path_of(files[0]["url"]), b"2")  # the bytes of the third
    as_alice.delete(path_of(files[1]["url"]))
    rows = dict(Attachment.objects.values_list("pk", "object__sha256"))
    assert rows == {each["id"]: each["sha256"] for each in listed(as_alice, url)}
    assert Change.objects.get().seq == 6


class TestDownloads:
    @pytest.fixture
    def address(self, as_alice, url, tmp_path, settings):
        backend = "notes.files.filesystem.FolderStorage"
        default = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path)}}
        settings.STORAGES = {**settings.STORAGES, "default": default}
        return add(as_alice, url, b"0123456789", "n.txt").json()["url"]

    @pytest.mark.parametrize(
        ("asked", "status", "content", "told"),
        [
            ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
            ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
            ("bytes=8-30", 206, b"89", "bytes 8-9/10"),
            ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
            ("bytes=10-", 416, b"", "bytes */10"),
            ("bytes=-0", 416, b"", "bytes */10"),
            ("bytes=3-2", 200, b"0123456789", None),
            ("bytes=0-1,3-4", 200, b"0123456789", None),
            ("lines=0-1", 200, b"0123456789", None),
            ("bytes=-", 200, b"0123456789", None),
            ("bytes=" + "9" * 5000 + "-", 200, b"0123456789", None),
        ],
    )
    def test_ranges(self, as_alice, address, asked, status, content, told):
        found, headers, body = fetch(as_alice, address, HTTP_RANGE=asked)
        assert (found, headers.get("Content-Range")) == (status, told)
        if status == 416:
            assert headers["Content-Type"] == "application/problem+json"
            assert json.loads(body)["code"] == "range_not_satisfiable"
        else:
            assert (body, headers["Content-Length"]) == (content, str(len(content)))

    def test_what_a_client_has_already(self, as_alice, address):
        _, headers, _ = fetch(as_alice, address)
        assert headers["Cache-Control"] == "private, no-cache"
        modified = headers["Last-Modified"]
        assert fetch(as_alice, address, HTTP_IF_MODIFIED_SINCE=modified)[0] == 304
        earlier = "Wed, 01 Jan 2020 00:00:00 GMT"
        for sent in (earlier, "yesterday", ""):
            assert fetch(as_alice, address, HTTP_IF_MODIFIED_SINCE=sent)[0] == 200
        # The entity tag counts more.
        tags = {"HTTP_IF_MODIFIED_SINCE": modified, "HTTP_IF_NONE_MATCH": '"other"'}
        assert fetch(as_alice, address, **tags)[0] == 200
        tags = {"HTTP_IF_MODIFIED_SINCE": earlier, "HTTP_IF_NONE_MATCH": headers["ETag"]}
        known = as_alice.get(path_of(address), **tags)
        assert (known.status_code, known.headers["Last-Modified"]) == (304, modified)

    def test_if_range(self, as_alice, address):
        tag = fetch(as_alice, address)[1]["ETag"]
        part = {"HTTP_RANGE": "bytes=0-3"}
        assert fetch(as_alice, address, HTTP_IF_RANGE=tag, **part)[0] == 206
        assert fetch(as_alice, address, HTTP_IF_RANGE='"other"', **part)[0] == 200

    def test_head_and_headers(self, as_alice, address):
        answer = as_alice.head(path_of(address))
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, "10")
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="n.txt"'


def test_a_known_file_is_304_on_both_storages(as_alice, url, stored_keys):
    file = add(as_alice, url).json()
    tag = f'"{file["sha256"]}"'
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        status, headers, content = fetch(as_alice, file["url"], HTTP_IF_NONE_MATCH=known)
        assert (status, headers["ETag"], content) == (304, tag, b"")
    assert fetch(as_alice, file["url"], HTTP_IF_NONE_MATCH='"x"')[0] == 200


@pytest.mark.parametrize(
    ("content", "is_shown"),
    [
        (image(), True),
        (image("JPEG"), True),
        (image("GIF"), True),
        (image("WEBP"), True),
        (b"text", True),
        (b"<html><script>alert(1)</script>", True),  # as plain text
        (b"%PDF-1.7 ...", False),
        (b"PK\x03\x04\0\0", False),
    ],
)
def test_inline_is_for_what_cannot_run(as_alice, url, stored_keys, content, is_shown):
    file = add(as_alice, url, content, "x.html").json()
    assert fetch(as_alice, file["url"])[1]["Content-Disposition"].startswith("attachment")
    _, headers, _ = fetch(as_alice, file["url"] + "?inline=1")
    assert headers["Content-Disposition"].startswith("inline") == is_shown
    assert headers["Content-Type"] == file["content_type"]
    assert "html" not in headers["Content-Type"]
    assert as_alice.get(path_of(file["url"]) + "?inline=perhaps").status_code == 400


def test_statements(as_alice, url, django_assert_num_queries):
    add(as_alice, url)
    # session JOIN user; note; what the account holds; the row that announces the object; BEGIN,
    # note, quota locked, same bytes, what the account holds, the object's row, ready, what it is,
    # the attachment, quota and object locked for the note, the note, attachments that went and that
    # stay, feed, change, COMMIT. SQLite needs no lock of the quota, PostgreSQL's driver counts no
    # BEGIN.
    with django_assert_num_queries(19 if connection.vendor == "sqlite" else 20):
        add(as_alice, url, b"another")
    address = path_of(listed(as_alice, url)[0]["url"])
    with django_assert_num_queries(3):  # session JOIN user, note, object
        as_alice.get(address)
    with django_assert_num_queries(2):  # session JOIN user, note
        as_alice.get(f"{url}/attachments")
