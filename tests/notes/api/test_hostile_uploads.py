"""Hostile direct uploads: what is announced, and what is sent to the address for it."""

import datetime as dt
import hashlib
import json
import re
from typing import Any

import pytest
import requests
from django.utils import timezone

from notes.files import objects, storage
from notes.models import StoredObject, Upload
from tests.cases import failures
from tests.notes.api.harmless import (
    OCTETS,
    TEXT,
    assert_harmless,
    displayed,
    follow,
    is_problem,
)
from tests.notes.api.hostile_files import PAGE, SVG, WHOLE_PNG
from tests.notes.files import new_note, path_of

ONCE = pytest.mark.django_db  # in a transaction that is never committed: quicker
COMMITTED = pytest.mark.django_db(transaction=True)


def announced(content: bytes, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": "a.bin", "size": len(content), "sha256": digest, **changes}


RIGHT = b"right " * 200
WRONG = b"wrong " * 200


OTHER_HEADERS = [
    {"Content-Type": "text/html"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": ""},
    {"Content-Encoding": "gzip"},
    {"Content-Disposition": "inline; filename=x.html"},
    {"x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"x-amz-acl": "public-read"},
    {"x-amz-meta-x": "\xe9"},
    {"x-amz-copy-source": "/notes/files/x"},
    {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
    {"Content-Range": "bytes 0-5/10"},
    {"If-None-Match": "*"},
    {"Authorization": "Bearer x"},
    {"Cache-Control": "public"},
]


class DirectUpload:
    """An upload to a new note, as a client goes on with it that has announced it."""

    def __init__(self, client, anonymous, announcement):
        self.client, self.anonymous, self.note_url = client, anonymous, new_note(client)
        answer = client.post(f"{self.note_url}/attachments/uploads", announcement, format="json")
        assert answer.status_code == 201
        self.fields = answer.json()
        self.url, self.is_ours = self.fields["url"], "://testserver/" in self.fields["url"]
        self.path = f"{self.note_url}/attachments/uploads/{self.fields['id']}"

    def send(self, content, *, url=None, method="PUT", **changed):
        """Send bytes to the upload's address, or another, without a token; return the status."""
        url, headers = url or self.url, {**self.fields["headers"], **changed}
        if not self.is_ours:
            answer = requests.request(method, url, data=content, headers=headers, timeout=60)
            return answer.status_code
        kind = headers.pop("Content-Type", "")
        answer = self.anonymous.generic(
            method, path_of(url), content, content_type=kind, headers=headers
        )
        assert answer.status_code == 200 or is_problem(answer), answer.content
        return answer.status_code

    def complete(self):
        """Tell the service that all is sent."""
        answer = self.client.post(f"{self.path}/complete")
        assert answer.status_code == 200 or is_problem(answer), answer.content
        return answer

    def files(self):
        """Return the contents of the note's files."""
        listed = self.client.get(f"{self.note_url}/attachments").json()["results"]
        fetched = [
            follow(self.client, f"{self.note_url}/attachments/{file['id']}") for file in listed
        ]
        for file, answer in zip(listed, fetched, strict=True):
            expected = {"name": file["name"], "content": answer.content}
            assert_harmless(answer, **expected, is_inline=False)
            assert file["content_type"] == answer.headers["Content-Type"]
            assert file["sha256"] == hashlib.sha256(answer.content).hexdigest()
        return [answer.content for answer in fetched]


@COMMITTED
class TestUploads:
    """Uploads that clients bring to the storage themselves, and what they may try there."""

    @pytest.fixture
    def announce(self, as_alice, anonymous, stored_keys):
        """Return a function that announces an upload to a new note, of ``RIGHT`` if not said."""
        return lambda body=None: DirectUpload(as_alice, anonymous, body or announced(RIGHT))

    @pytest.fixture
    def upload(self, announce):
        return announce()

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, as_alice, stored_keys):
        """Check that nothing counts that is no file, whenever the worker runs."""
        yield
        assert not StoredObject.objects.unused().filter(state="ready").exists()
        objects.sweep(now=timezone.now() + dt.timedelta(hours=2))
        ready = StoredObject.objects.filter(state="ready")
        assert set(ready.values_list("key", flat=True)) <= stored_keys()
        assert as_alice.get("/api/v1/sync").status_code == 200

    def test_other_bytes_than_announced(self, announce):
        def check(content):
            upload = announce()
            upload.send(content)
            answer = upload.complete()
            assert (answer.status_code, answer.json()["code"]) in (
                (409, "upload_incomplete"), (422, "checksum_mismatch")
            )  # fmt: skip
            assert upload.files() == []
            # Sent again or failed for good: nothing else than what was announced ever counts.
            upload.send(RIGHT)
            is_done = upload.complete().status_code == 200
            assert upload.files() == ([RIGHT] if is_done else [])

        cases = {"as long": WRONG, "longer": RIGHT + b"x", "shorter": RIGHT[:-1], "empty": b"",
                 "1,000 times": RIGHT * 1000}  # fmt: skip
        assert failures(cases, check) == {}

    def test_other_headers_than_announced(self, announce):
        def check(changed):
            upload = announce()
            status = upload.send(RIGHT, **changed)
            assert status < 500
            is_done = upload.complete().status_code == 200
            assert not is_done or status == 200  # the store may take what is refused then
            assert upload.files() == ([RIGHT] if is_done else [])

        assert failures({str(changed): changed for changed in OTHER_HEADERS}, check) == {}

    def test_other_methods(self, announce, anonymous):
        def check(method):
            upload = announce()
            assert upload.send(RIGHT) == 200
            if upload.is_ours:
                answer = anonymous.generic(method, path_of(upload.url), WRONG)
                assert answer.status_code == 405
            elif method != "OPTIONS":  # which asks for no object
                assert upload.send(WRONG, method=method) in (400, 403)
            assert upload.complete().status_code == 200
            assert upload.files() == [RIGHT]

        methods = ["GET", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"]
        assert failures({method: method for method in methods}, check) == {}

    def test_an_address_that_was_changed(self, upload):
        url = upload.url
        start = url.index("/", len("https://"))
        others = [url + "x", url[:-2], f"{url}%00", f"{url}/", url + "x" * 9000]
        if upload.is_ours:
            others.append(f"{url}%0d%0a")  # which rclone takes off
        for at in (*range(start + 1, len(url), 7), len(url) - 1):
            others.append(url[:at] + ("A" if url[at] != "A" else "B") + url[at + 1 :])
        for other in others:
            assert upload.send(WRONG, url=other) >= 400, other
        assert upload.files() == []
        assert upload.complete().json()["code"] == "upload_incomplete"
        assert upload.send(RIGHT) == 200
        assert upload.complete().status_code == 200
        assert upload.files() == [RIGHT]

    def test_an_address_that_is_for_something_else(self, as_alice, anonymous, upload):
        """A link to be shown takes nothing, and one to send to shows nothing."""
        assert upload.send(RIGHT) == 200
        file = upload.complete().json()["attachment"]
        link = {"content": f"![x]({upload.note_url}/attachments/{file['id']})"}
        assert as_alice.patch(upload.note_url, link, format="json").status_code == 200
        (shown,) = displayed(as_alice, upload.note_url)
        kind = OCTETS
        taken = anonymous.put(shown.replace("/files/", "/uploads/"), WRONG, content_type=kind)
        assert taken.status_code == 404
        assert anonymous.put(shown, WRONG, content_type=kind).status_code == 405
        if upload.is_ours:
            path = path_of(upload.url)
            assert anonymous.get(path.replace("/uploads/", "/files/")).status_code == 404
            assert anonymous.get(path).status_code == 405
        else:
            assert requests.get(upload.url, timeout=60).status_code == 403
        assert upload.files() == [RIGHT]

    def test_complete_before_anything_is_sent(self, upload):
        for _ in range(2):
            answer = upload.complete()
            assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
        assert upload.files() == []
        assert upload.send(RIGHT) == 200
        assert upload.complete().status_code == 200
        assert upload.files() == [RIGHT]

    def test_complete_twice(self, as_alice, upload):
        assert upload.send(RIGHT) == 200
        first = upload.complete()
        version = as_alice.get(upload.note_url).json()["version"]
        assert [upload.complete().json() for _ in range(3)] == [first.json()] * 3
        assert as_alice.get(upload.note_url).json()["version"] == version
        assert upload.files() == [RIGHT]

    def test_what_is_sent_after_completion_changes_nothing(self, announce):
        def check(content):
            upload = announce()
            assert upload.send(RIGHT) == 200
            assert upload.complete().status_code == 200
            upload.send(content)
            assert upload.files() == [RIGHT]
            assert upload.complete().status_code == 200
            state = upload.client.get(upload.path).json()
            assert (state["state"], state["url"]) == ("done", None)
            objects.sweep(now=timezone.now() + dt.timedelta(days=2))
            assert upload.files() == [RIGHT]

        cases = {"as long": WRONG, "longer": RIGHT + b"x", "empty": b"", "the same": RIGHT}
        assert failures(cases, check) == {}

    def test_what_is_sent_while_it_is_completed_changes_nothing(self, announce, monkeypatch):
        copy = storage.copy

        def check(content):
            upload = announce()

            def copy_and_send(*args):
                copy(*args)
                upload.send(content)

            monkeypatch.setattr(storage, "copy", copy_and_send)
            assert upload.send(RIGHT) == 200
            assert upload.complete().status_code == 200
            assert upload.files() == [RIGHT]

        cases = {"as long": WRONG, "longer": RIGHT + b"x", "empty": b""}
        assert failures(cases, check) == {}

    def test_what_is_sent_after_it_was_given_up_counts_for_nothing(self, as_alice, upload):
        assert as_alice.delete(upload.path).status_code == 204
        upload.send(RIGHT)
        assert upload.complete().status_code == 404
        assert as_alice.get(upload.path).status_code == 404
        assert upload.files() == []
        assert not Upload.objects.exists()

    def test_pages_that_are_announced_as_pictures(self, as_alice, announce):
        for content, kind in ((PAGE, TEXT), (SVG, TEXT), (b"\0" + PAGE, OCTETS),
                              (WHOLE_PNG + PAGE, "image/png")):  # fmt: skip
            upload = announce(announced(content, name="a.png"))
            headers = {"Content-Type": "text/html"} if upload.is_ours else {}
            assert upload.send(content, **headers) == 200
            file = upload.complete().json()["attachment"]
            assert file["content_type"] == kind
            address = f"{upload.note_url}/attachments/{file['id']}?inline=1"
            expected = {"name": "a.png", "content": content}
            assert_harmless(follow(as_alice, address), **expected, is_inline=True)


@ONCE
@pytest.mark.parametrize("stored_keys", ["folder"], indirect=True)
class TestAnnouncements:
    @pytest.fixture
    def announce(self, as_alice, stored_keys):
        """Return a function that announces a file by a body, and the answer.

        What is taken is taken as a number of bytes that a file may have.
        """
        note_url = new_note(as_alice)

        def announce(body):
            before = Upload.objects.count(), StoredObject.objects.count()
            text = body if isinstance(body, str) else json.dumps(body)
            path = f"{note_url}/attachments/uploads"
            answer = as_alice.post(path, text, content_type="application/json")
            if answer.status_code == 201:
                upload = answer.json()
                assert type(upload["size"]) is int
                assert 0 <= upload["size"] <= 8 * 2**20
                assert re.fullmatch("[0-9a-f]{64}", upload["sha256"], re.ASCII)
                row = StoredObject.objects.get(upload=upload["id"])
                assert row.state == "pending"
                assert (row.size, row.sha256) == (upload["size"], upload["sha256"])
                assert StoredObject.objects.count() == before[1] + 1
            else:
                assert is_problem(answer), answer.content
                assert (Upload.objects.count(), StoredObject.objects.count()) == before
            assert as_alice.get(note_url).json()["attachments"] == []
            return answer

        return announce

    @pytest.fixture
    def refuse(self, announce):
        """Return a function that checks that what a body announces is not taken."""

        def refuse(body):
            assert announce(body).status_code == 400

        return refuse

    def test_size(self, announce):
        sizes = [
            -1, -(2**63), 2**53, 2**53 + 1, 2**63, 10**30, 10**4000, 1.5, 1e300, "x", "1e3", "",
            " ", "0x10", "-0", "\u0661\u0662", "\u00b2", "1_000", "5\n", "5\0", True, None, [], [5],
            {},
        ]  # fmt: skip
        cases = {repr(size): announced(b"right", size=size) for size in sizes}
        assert failures(cases, announce) == {}

    def test_size_that_is_no_json(self, announce):
        text = json.dumps(announced(b"right", size=0))
        sizes = ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, "05"]
        cases = {size: text.replace('"size": 0', f'"size": {size}') for size in sizes}
        assert failures(cases, announce) == {}

    def test_checksum(self, refuse):
        checksums = [
            "", "x", "0" * 63, "0" * 65, "0" * 64 + "\n", "\n" + "0" * 64, " " + "0" * 63, "A" * 64,
            "g" * 64, "0x" + "0" * 62, "\u0660" * 64, "\uff10" * 64, "0" * 63 + "\0",
            "\ud800" * 64, "0" * 100_000, 0, 1.5, True, None, [], ["0" * 64], {},
        ]  # fmt: skip
        cases = {repr(sha256): announced(b"right", sha256=sha256) for sha256 in checksums}
        assert failures(cases, refuse) == {}

    def test_something_is_missing(self, refuse):
        whole = announced(b"right")
        cases = {name: {key: whole[key] for key in whole if key != name} for name in whole}
        assert failures(cases, refuse) == {}

    def test_no_announcement(self, refuse):
        bodies = ["", "[]", "null", "1", '"x"', "{", "[" * 100_000, "\0"]
        assert failures({body[:20]: body for body in bodies}, refuse) == {}
