"""``notes/{id}/file`` on both storages: what is stored, what it is served as, what is left."""

import datetime as dt
import hashlib
import zlib

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import User
from notes.files import filetypes, objects, storage
from notes.models import Attachment, Note, StoredObject
from tests.conftest import PASSWORD, client_of
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def note_url(as_alice):
    note = as_alice.post("/api/v1/notes", {"title": "With a file"}, format="json").json()
    return f"/api/v1/notes/{note['id']}"


def put(client, url, content, name="a.txt", content_type="text/plain"):
    upload = SimpleUploadedFile(name, content, content_type)
    return client.put(f"{url}/file", {"file": upload}, format="multipart")


def fetch(client, url):
    """Follow the redirect as a client does: S3 over HTTP, the disk through the app."""
    response = client.get(f"{url}/file")
    if response.status_code == 302:
        return requests.get(response.headers["Location"], timeout=60)
    assert response.status_code == 200
    response.content_bytes = b"".join(response.streaming_content)
    return response


def body_of(answer):
    return answer.content if isinstance(answer, requests.Response) else answer.content_bytes


def test_upload_read_replace_delete(as_alice, note_url, stored_keys):
    response = put(as_alice, note_url, b"hello", name="hello.txt")
    assert response.status_code == 200
    shown = response.json()
    assert shown == {
        "name": "hello.txt",
        "size": 5,
        "content_type": "text/plain; charset=utf-8",
        "sha256": hashlib.sha256(b"hello").hexdigest(),
        "url": f"http://testserver{note_url}/file",
    }
    note = as_alice.get(note_url).json()
    assert (note["file"], note["version"]) == (shown, 2)
    answer = fetch(as_alice, note_url)
    assert body_of(answer) == b"hello"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "hello.txt" in answer.headers["Content-Disposition"]
    assert put(as_alice, note_url, b"other").status_code == 200
    assert body_of(fetch(as_alice, note_url)) == b"other"
    assert len(stored_keys()) == 2  # the history keeps the first
    assert as_alice.delete(f"{note_url}/file?permanent=true").status_code == 204
    assert as_alice.delete(f"{note_url}/file").status_code == 404
    assert as_alice.get(f"{note_url}/file").status_code == 404
    assert as_alice.get(note_url).json()["file"] is None
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()


def test_deleting_note_or_account_deletes_the_object(as_alice, alice, bob, note_url, stored_keys):
    as_bob = client_of(bob)
    kept = as_bob.post("/api/v1/notes", {"title": "bob's"}, format="json").json()
    put(as_bob, f"/api/v1/notes/{kept['id']}", b"bob's")
    put(as_alice, note_url, b"one")
    assert len(stored_keys()) == 2
    as_alice.delete(f"{note_url}?permanent=true")
    assert len(stored_keys()) == 1
    again = as_alice.post("/api/v1/notes", {"title": "t"}, format="json").json()
    put(as_alice, f"/api/v1/notes/{again['id']}", b"two")
    response = as_alice.delete("/api/v1/auth/me", {"password": PASSWORD}, format="json")
    assert response.status_code == 204
    assert stored_keys() == {StoredObject.objects.get().key}
    assert body_of(fetch(as_bob, f"/api/v1/notes/{kept['id']}")) == b"bob's"


def test_the_server_makes_the_key_and_the_type(as_alice, note_url, stored_keys):
    page = b"<!doctype html><script>alert(1)</script>"
    shown = put(as_alice, note_url, page, "../../e/vil\u202egpj.html", "text/html").json()
    assert shown["name"] == "vilgpj.html"
    assert shown["content_type"] == "text/plain; charset=utf-8"
    (key,) = stored_keys()
    assert "vil" not in key
    assert len(key) > 64
    answer = fetch(as_alice, note_url)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_an_empty_file_is_a_file(as_alice, note_url, stored_keys):
    assert put(as_alice, note_url, b"").json()["size"] == 0
    assert body_of(fetch(as_alice, note_url)) == b""


def test_a_file_of_several_megabytes(as_alice, note_url, stored_keys):
    content = zlib.compress(b"x") * 400_000
    assert put(as_alice, note_url, content).json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert body_of(fetch(as_alice, note_url)) == content


def test_too_large_is_413_and_leaves_nothing(as_alice, note_url, stored_keys, settings):
    settings.MAX_FILE_BYTES = 1000
    response = put(as_alice, note_url, b"x" * 1001)
    assert (response.status_code, response.json()["code"]) == (413, "file_too_large")
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"x", "text/plain", 415),
        (b"", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b", 400),
        (b"nonsense", "multipart/form-data", 400),
        (b"nonsense", "multipart/form-data; boundary=\xe9", 400),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--b--\r\n',
         "multipart/form-data; boundary=b", 400),
        (b'--b\r\nContent-Disposition: form-data; name="other"; filename="f"\r\n\r\nx\r\n--b--\r\n',
         "multipart/form-data; boundary=b", 400),
    ],
)  # fmt: skip
def test_bad_uploads_are_problems(as_alice, note_url, body, content_type, status):
    response = as_alice.put(
        f"{note_url}/file", body, content_type=content_type.encode().decode("latin-1")
    )
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert not Attachment.objects.exists()


class TestCrashes:
    """The process dies between two steps: what is there then, and what the sweeper makes of it."""

    class Died(BaseException):
        pass

    def die_in(self, monkeypatch, module, name):
        def die(*args, **kwargs):
            raise self.Died

        monkeypatch.setattr(module, name, die)

    @pytest.fixture
    def later(self):
        return timezone.now() + dt.timedelta(hours=2)

    def test_before_the_object_is_stored(self, as_alice, note_url, stored_keys, monkeypatch, later):
        put(as_alice, note_url, b"old")
        with monkeypatch.context() as patched:
            self.die_in(patched, storage, "open_writer")
            with pytest.raises(self.Died):
                put(as_alice, note_url, b"new")
        assert body_of(fetch(as_alice, note_url)) == b"old"
        assert StoredObject.objects.filter(state="pending").count() == 1
        assert objects.sweep(now=later) == 1
        assert stored_keys() == {StoredObject.objects.get().key}

    def test_between_object_and_row(self, as_alice, note_url, stored_keys, monkeypatch, later):
        put(as_alice, note_url, b"old")
        with monkeypatch.context() as patched:
            self.die_in(patched, objects, "make_owned")
            with pytest.raises(self.Died):
                put(as_alice, note_url, b"new")
        assert len(stored_keys()) == 2
        assert body_of(fetch(as_alice, note_url)) == b"old"
        assert as_alice.get(note_url).json()["version"] == 2
        assert objects.sweep(now=later) == 1
        assert body_of(fetch(as_alice, note_url)) == b"old"
        assert len(stored_keys()) == 1

    def test_an_upload_in_progress_is_left_alone(
        self, as_alice, note_url, stored_keys, monkeypatch
    ):
        with monkeypatch.context() as patched:
            self.die_in(patched, storage, "open_writer")
            with pytest.raises(self.Died):
                put(as_alice, note_url, b"new")
        assert objects.sweep(now=timezone.now()) == 0

    @pytest.mark.parametrize("how", ["remove", "note", "account"])
    def test_after_the_commit_that_let_go(
        self, as_alice, alice, note_url, stored_keys, monkeypatch, how
    ):
        account = "/api/v1/auth/me"
        let_go = {
            "remove": lambda: as_alice.delete(f"{note_url}/file?permanent=true"),
            "note": lambda: as_alice.delete(f"{note_url}?permanent=true"),
            "account": lambda: as_alice.delete(account, {"password": PASSWORD}, format="json"),
        }
        put(as_alice, note_url, b"old")
        with monkeypatch.context() as patched:
            self.die_in(patched, storage, "delete")
            with pytest.raises(self.Died):
                let_go[how]()
        assert len(stored_keys()) == 1
        assert objects.sweep(now=timezone.now()) == 1
        assert stored_keys() == set()
        assert not StoredObject.objects.exists()
        assert objects.sweep(now=timezone.now()) == 0

    def test_a_sweep_too_early_gives_the_upload_up_and_keeps_the_old_file(
        self, as_alice, note_url, stored_keys, monkeypatch, later
    ):
        put(as_alice, note_url, b"old")
        opens = storage.open_writer

        def slow(*args, **kwargs):
            objects.sweep(now=later)  # takes the row of an object that comes only now
            return opens(*args, **kwargs)

        monkeypatch.setattr(storage, "open_writer", slow)
        response = put(as_alice, note_url, b"new")
        assert (response.status_code, response.json()["code"]) == (503, "upload_too_slow")
        assert body_of(fetch(as_alice, note_url)) == b"old"
        assert len(stored_keys()) == 1

    def test_the_note_deleted_while_its_file_was_on_its_way(
        self, as_alice, note_url, stored_keys, monkeypatch, later
    ):
        opens = storage.open_writer

        def slow(*args, **kwargs):
            Note.objects.all().delete()
            return opens(*args, **kwargs)

        monkeypatch.setattr(storage, "open_writer", slow)
        assert put(as_alice, note_url, b"new").status_code == 404
        assert stored_keys() == set()
        assert objects.sweep(now=later) == 0


def test_a_slow_storage_does_not_hold_up_the_answer(as_alice, note_url, stored_keys, monkeypatch):
    put(as_alice, note_url, b"old")
    monkeypatch.setattr(objects, "TIMEOUT_SECONDS", -1)
    assert as_alice.delete(f"{note_url}?permanent=true").status_code == 204
    assert len(stored_keys()) == 1
    assert objects.sweep(now=timezone.now()) == 1
    assert stored_keys() == set()


def test_the_database_itself_cascades_and_restricts(as_alice, alice, note_url, stored_keys):
    put(as_alice, note_url, b"x")
    with connection.cursor() as cursor:
        with pytest.raises(IntegrityError):
            cursor.execute("DELETE FROM notes_storedobject")
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [alice.pk])
    assert not User.objects.exists()
    assert not Note.objects.exists()
    assert not Attachment.objects.exists()
    assert StoredObject.objects.count() == 1
    with connection.cursor() as cursor, pytest.raises(IntegrityError):
        cursor.execute(
            "INSERT INTO notes_note (owner_id, title, content) VALUES (%s, 't', 'c')", [alice.pk]
        )


def test_an_outage_of_s3_is_503_for_files_and_nothing_for_notes(as_alice, note_url, s3, settings):
    options = {
        "bucket_name": "gone",
        "region_name": "us-east-1",
        "access_key": "k",
        "secret_key": "s",
        "endpoint_url": f"http://127.0.0.1:{free_port()}",
    }
    backend = {"BACKEND": "notes.files.s3.BucketStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    response = put(as_alice, note_url, b"x")
    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert as_alice.patch(note_url, {"title": "still"}, format="json").status_code == 200
    assert as_alice.delete(f"{note_url}?permanent=true").status_code == 204


def test_signed_links_end_and_cannot_be_changed(as_alice, note_url, bucket, s3, monkeypatch):
    put(as_alice, note_url, b"secret")
    link = as_alice.get(f"{note_url}/file").headers["Location"]
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link
    assert "X-Amz-Expires=300" in link
    assert requests.get(link, timeout=60).content == b"secret"
    other = link.replace("attachment", "inline")
    assert other != link
    assert requests.get(other, timeout=60).status_code == 403
    assert requests.get(link.partition("?")[0], timeout=60).status_code in (400, 403)
    assert requests.put(link, b"x", timeout=60).status_code == 403


def test_content_type_of_keeps_to_the_list():
    for content, expected in (
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"<svg onload=alert(1)>", "text/plain; charset=utf-8"),
        (b"MZ\0\0", "application/octet-stream"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "image/avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "image/heif"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", "audio/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4"),
        (b"\0\0\0\x18ftypxxxx\0\0\0\0", "application/octet-stream"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska\0", "application/octet-stream"),
        (b"ID3\x04\0\0\0\0\0\x20", "audio/mpeg"),
        (b"\xff\xfb\x90\x44\0", "audio/mpeg"),
        (b"OggS\0\x02" + bytes(22) + b"OpusHead", "audio/ogg"),
        (b"OggS\0\x02" + bytes(22) + b"unknown", "application/octet-stream"),
        (b"fLaC\0", "audio/flac"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"\xff\xfe", "application/octet-stream"),
        (b"", "text/plain; charset=utf-8"),
        (("x" * 4095 + "é").encode(), "text/plain; charset=utf-8"),
        (b"x" * 10 + b"\xc3", "application/octet-stream"),
    ):
        assert filetypes.content_type_of(content) == expected


NAMES_AS_SENT = [
    "Screenshot 3.14.15\u202fPM.png",
    "会議\u3000録.txt",
    "a\u00a0b.txt",
    "save&copy.txt",
    "a &lt;b&gt; &#65;.txt",
    "\U0001fae8.png",
    "\U0001faea.png",
    "👨\u200d👩\u200d👧.png",
    "می\u200cخواهم.txt",
    "\u200eWhatsApp Image.jpeg",
    "soft\u00adhyphen.txt",
    "100%22.txt",
]


@pytest.mark.parametrize("name", NAMES_AS_SENT, ids=ascii)
def test_a_name_is_kept_as_sent_on_every_way_in(as_alice, note_url, name):
    assert put(as_alice, note_url, b"x", name).json()["name"] == name
    files = f"{note_url}/attachments"
    form = {"file": SimpleUploadedFile(name, b"y")}
    added = as_alice.post(files, form, format="multipart").json()
    assert added["name"] == name
    announced = {"name": name, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    upload = as_alice.post(f"{files}/uploads", announced, format="json").json()
    assert upload["name"] == name
    renamed = as_alice.patch(f"{files}/{added['id']}", {"name": f"2 {name}"}, format="json")
    assert renamed.json()["name"] == f"2 {name}"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\a.png", "a.png"),
        ("a\0b\r\nc.txt", "abc.txt"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("e\u0301.txt", "é.txt"),
        ("", "file"),
        ("..", "file"),
        ("/", "file"),
        ("\u200b\u202e.\u3000", "file"),
        *((name, name) for name in NAMES_AS_SENT),
        ("x" * 300 + ".md", "x" * 252 + ".md"),
        ("é" * 200, "é" * 127),
    ],
)
def test_clean_name(given, kept):
    assert filetypes.clean_name(given) == kept
