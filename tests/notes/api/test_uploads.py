"""``notes/{id}/attachments/uploads``: files that clients bring to the storage themselves."""

import datetime as dt

import pytest
from django.utils import timezone

from notes.actions import uploads
from notes.files import objects, storage
from notes.files.s3 import BucketStorage
from notes.models import StoredObject, Upload
from tests.notes.files import add, fetch, image, new_note, path_of, sha256
from tests.notes.uploads import announce, at, complete, send, send_parts

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 2**20


@pytest.fixture
def url(as_alice):
    return new_note(as_alice)


@pytest.fixture
def small_parts(monkeypatch):
    """Have uploads of more than 5 MiB, the least that S3 takes, come in parts."""
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr(uploads, "VERIFY_BATCH_SIZE", 8 * MIB)


def test_announce_send_complete(as_alice, url, stored_keys):
    answer = announce(as_alice, url)
    assert answer.status_code == 201
    upload = answer.json()
    assert answer.headers["Location"] == f"http://testserver{at(upload, url)}"
    assert (upload["state"], upload["method"], upload["parts"]) == ("open", "PUT", None)
    assert as_alice.get(url).json()["version"] == 1
    assert send(upload["url"], b"direct", upload["headers"]) == 200
    assert as_alice.get(url).json()["attachments"] == []  # it counts only when it is complete
    done = complete(as_alice, url, upload)
    assert (done.status_code, done.json()["state"]) == (200, "done")
    file = done.json()["attachment"]
    assert (file["name"], file["size"], file["sha256"]) == ("d.txt", 6, sha256(b"direct"))
    assert file["content_type"] == "text/plain; charset=utf-8"
    assert as_alice.get(url).json()["attachments"] == [file]
    assert fetch(as_alice, file["url"])[2] == b"direct"
    assert stored_keys() == {StoredObject.objects.get().key}
    again = complete(as_alice, url, upload)
    assert (again.status_code, again.json()) == (200, done.json())
    assert as_alice.get(at(upload, url)).json()["attachment"] == file
    assert as_alice.delete(at(upload, url)).status_code == 204
    assert as_alice.get(url).json()["attachments"] == [file]


def test_what_it_is_follows_from_its_bytes(as_alice, url, stored_keys):
    upload = announce(as_alice, url, image(), "page.html").json()
    send(upload["url"], image(), upload["headers"])
    file = complete(as_alice, url, upload).json()["attachment"]
    assert (file["content_type"], file["width"], file["height"]) == ("image/png", 40, 30)


def test_an_empty_file(as_alice, url, stored_keys):
    upload = announce(as_alice, url, b"").json()
    assert send(upload["url"], b"", upload["headers"]) == 200
    assert complete(as_alice, url, upload).json()["attachment"]["size"] == 0


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"direct!", {}),
        (b"direc", {}),
        (b"direct", {"x-amz-checksum-sha256": "AAAA"}),
        (b"direct", {"Content-Type": "text/html"}),
    ],
)
def test_an_address_takes_what_was_announced_alone(as_alice, url, bucket, content, headers):
    upload = announce(as_alice, url).json()
    assert "X-Amz-Expires=300" in upload["url"]
    for name in ("content-length", "content-type", "host", "x-amz-checksum-sha256"):
        assert name in upload["url"].partition("X-Amz-SignedHeaders=")[2].partition("&")[0]
    assert send(upload["url"], content, {**upload["headers"], **headers}) == 403
    assert complete(as_alice, url, upload).json()["code"] == "upload_incomplete"


def test_bytes_that_differ_never_count(as_alice, url, stored_keys):
    upload = announce(as_alice, url, b"direct").json()
    sent = send(upload["url"], b"DIRECT", upload["headers"])
    answer = complete(as_alice, url, upload)
    if upload["url"].startswith("http://testserver"):
        assert sent == 422  # our own door compares at once
        assert answer.json()["code"] == "upload_incomplete"
        return
    assert sent == 200  # rclone does not compare, and tells the checksum that was announced
    assert (answer.status_code, answer.json()["code"]) == (422, "checksum_mismatch")
    assert as_alice.get(at(upload, url)).json()["state"] == "failed"
    assert complete(as_alice, url, upload).json()["code"] == "upload_over"
    assert as_alice.get(url).json()["attachments"] == []
    objects.sweep(now=timezone.now())
    assert not StoredObject.objects.exists()
    assert stored_keys() == set()


def test_what_was_checked_cannot_be_replaced(as_alice, url, stored_keys):
    upload = announce(as_alice, url, b"direct").json()
    send(upload["url"], b"direct", upload["headers"])
    file = complete(as_alice, url, upload).json()["attachment"]
    send(upload["url"], b"DIRECT", upload["headers"])
    assert fetch(as_alice, file["url"])[2] == b"direct"


def test_a_store_that_compares_is_believed(as_alice, url, bucket, monkeypatch):
    monkeypatch.setattr(BucketStorage, "verifies_checksums", True)
    monkeypatch.setattr(uploads, "_read_through", None)
    upload = announce(as_alice, url, image()).json()
    send(upload["url"], image(), upload["headers"])
    assert complete(as_alice, url, upload).json()["attachment"]["width"] == 40
    other = announce(as_alice, url, b"x").json()
    digest = sha256(b"y")
    Upload.objects.filter(pk=other["id"]).update(sha256=digest)
    send(other["url"], b"x", other["headers"])
    assert complete(as_alice, url, other).json()["code"] == "checksum_mismatch"


def test_nothing_was_sent(as_alice, url, stored_keys):
    upload = announce(as_alice, url).json()
    for _ in range(2):
        answer = complete(as_alice, url, upload)
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
    send(upload["url"], b"direct", upload["headers"])
    assert complete(as_alice, url, upload).status_code == 200


class TestParts:
    content = bytes(range(256)) * (48 * 1024)  # 12 MiB

    def test_resumed(self, as_alice, url, bucket, s3, small_parts):
        upload = announce(as_alice, url, self.content).json()
        assert (upload["url"], upload["parts"]) == (None, None)
        told = as_alice.get(at(upload, url)).json()
        sizes = [
            (part["number"], part["start"] // MIB, part["size"] // MIB) for part in told["parts"]
        ]
        assert sizes == [(1, 0, 5), (2, 5, 5), (3, 10, 2)]
        send_parts(told, self.content, {2})
        assert complete(as_alice, url, upload).json()["code"] == "upload_incomplete"
        told = as_alice.get(at(upload, url)).json()
        assert [part["number"] for part in told["parts"]] == [1, 3]
        send_parts(told, self.content)
        answer = complete(as_alice, url, upload)
        assert (answer.status_code, answer.json()["state"]) == (202, "verifying")
        assert complete(as_alice, url, upload).status_code == 202
        assert uploads.verify_due() is True
        assert uploads.verify_due() is False
        done = as_alice.get(at(upload, url)).json()
        assert done["state"] == "done"
        assert fetch(as_alice, done["attachment"]["url"])[2] == self.content
        assert list(storage.unfinished()) == []
        assert (
            as_alice.get(f"{url}/revisions")
            .json()["results"][0]["credential"]
            .startswith("session")
        )

    def test_a_part_takes_its_size_alone(self, as_alice, url, bucket, small_parts):
        upload = announce(as_alice, url, self.content).json()
        part = as_alice.get(at(upload, url)).json()["parts"][2]
        assert send(part["url"], b"x" * (part["size"] + 1), {}) == 403

    def test_the_answer_of_the_store_was_lost(self, as_alice, url, bucket, small_parts):
        upload = announce(as_alice, url, self.content).json()
        send_parts(as_alice.get(at(upload, url)).json(), self.content)
        row = StoredObject.objects.get()
        storage.finish_parts(row.key, row.upload_id, storage.parts(row.key, row.upload_id))
        assert complete(as_alice, url, upload).status_code == 202
        assert uploads.verify_due() is True
        assert as_alice.get(at(upload, url)).json()["state"] == "done"

    def test_other_bytes_fail_and_are_gone(self, as_alice, url, bucket, s3, small_parts):
        upload = announce(as_alice, url, self.content).json()
        send_parts(as_alice.get(at(upload, url)).json(), self.content[::-1])
        assert complete(as_alice, url, upload).status_code == 202
        uploads.verify_due()
        assert as_alice.get(at(upload, url)).json()["state"] == "failed"
        objects.sweep(now=timezone.now())
        assert s3.keys(bucket) == set()

    def test_given_up(self, as_alice, url, bucket, s3, small_parts):
        upload = announce(as_alice, url, self.content).json()
        send_parts(as_alice.get(at(upload, url)).json(), self.content, {1})
        assert len(list(storage.unfinished())) == 1
        assert as_alice.delete(at(upload, url)).status_code == 204
        assert list(storage.unfinished()) == []
        assert not StoredObject.objects.exists()
        assert as_alice.get(at(upload, url)).status_code == 404


def test_in_time_or_never(as_alice, url, stored_keys):
    upload = announce(as_alice, url).json()
    send(upload["url"], b"direct", upload["headers"])
    assert objects.sweep(now=timezone.now() + dt.timedelta(hours=3)) == 0
    Upload.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert complete(as_alice, url, upload).json()["code"] == "upload_over"
    assert uploads.forget_due() is False
    assert not Upload.objects.exists()
    assert not StoredObject.objects.exists()
    assert stored_keys() == set()


def test_what_is_said_to_be_there_waits_longer(as_alice, url, bucket, small_parts):
    content = TestParts.content
    upload = announce(as_alice, url, content).json()
    send_parts(as_alice.get(at(upload, url)).json(), content)
    assert complete(as_alice, url, upload).status_code == 202
    Upload.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    uploads.forget_due()
    as_alice.delete(url)
    assert uploads.verify_due() is False  # not while the note is in the trash
    as_alice.post(f"{url}/restore")
    assert uploads.verify_due() is True
    assert as_alice.get(at(upload, url)).json()["state"] == "done"


def test_given_up_while_it_is_completed(as_alice, url, stored_keys, monkeypatch):
    upload = announce(as_alice, url).json()
    send(upload["url"], b"direct", upload["headers"])
    reads = uploads._read_through

    def late(key):
        found = reads(key)
        Upload.objects.all().delete()
        return found

    monkeypatch.setattr(uploads, "_read_through", late)
    answer = complete(as_alice, url, upload)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_over")
    assert as_alice.get(url).json()["attachments"] == []


def test_nothing_is_taken_for_an_upload_that_is_over(as_alice, url, settings):
    upload = announce(as_alice, url).json()
    as_alice.delete(at(upload, url))
    assert send(upload["url"], b"direct", upload["headers"]) == 404


def test_it_counts_from_the_announcement_on(as_alice, url, settings, stored_keys):
    settings.MAX_ACCOUNT_BYTES = 10
    upload = announce(as_alice, url, b"123456").json()
    assert add(as_alice, url, b"12345").json()["code"] == "quota_exceeded"
    assert announce(as_alice, url, b"12345").json()["code"] == "quota_exceeded"
    send(upload["url"], b"123456", upload["headers"])
    assert complete(as_alice, url, upload).status_code == 200
    assert add(as_alice, url, b"1234").status_code == 201


def test_announced_files_are_counted_too(as_alice, url, settings, stored_keys):
    settings.MAX_ACCOUNT_FILES = 1
    assert announce(as_alice, url, b"one").status_code == 201
    assert announce(as_alice, url, b"two").json()["code"] == "quota_exceeded"


def test_the_same_bytes_are_stored_once(as_alice, url, stored_keys):
    first = add(as_alice, url, b"direct").json()
    upload = announce(as_alice, url).json()
    send(upload["url"], b"direct", upload["headers"])
    second = complete(as_alice, url, upload).json()["attachment"]
    assert second["id"] != first["id"]
    assert len(stored_keys()) == StoredObject.objects.count() == 1


def test_a_key_announces_once(as_alice, url, stored_keys):
    first = announce(as_alice, url, HTTP_IDEMPOTENCY_KEY="k")
    assert announce(as_alice, url, HTTP_IDEMPOTENCY_KEY="k").json() == first.json()
    assert Upload.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"size": -1}, "size"),
        ({"size": 2**53 + 1}, "size"),
        ({"size": "many"}, "size"),
        ({"sha256": "x"}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"sha256": "a" * 64 + "\n"}, "sha256"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
    ],
)
def test_what_is_no_announcement(as_alice, url, body, field):
    body = {"name": "n", "size": 1, "sha256": "a" * 64, **body} if body else {}
    answer = as_alice.post(f"{url}/attachments/uploads", body, format="json")
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_too_large(as_alice, url, bucket, settings):
    settings.MAX_DIRECT_FILE_BYTES = 5
    answer = announce(as_alice, url)
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


def test_it_is_of_its_note_and_its_owner(as_alice, as_carol, url, stored_keys):
    upload = announce(as_alice, url).json()
    other = new_note(as_alice)
    for client, address in ((as_carol, url), (as_alice, other), (as_carol, new_note(as_carol))):
        assert client.get(at(upload, address)).status_code == 404
        assert client.delete(at(upload, address)).status_code == 404
        assert complete(client, address, upload).status_code == 404
    assert Upload.objects.count() == 1


def test_the_note_gone_meanwhile(as_alice, url, stored_keys):
    upload = announce(as_alice, url).json()
    send(upload["url"], b"direct", upload["headers"])
    as_alice.delete(f"{url}?permanent=true")
    assert complete(as_alice, url, upload).status_code == 404
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()


def test_our_own_door_takes_links_alone(as_alice, anonymous, url):
    upload = announce(as_alice, url).json()
    path = path_of(upload["url"])
    for changed in (path[:-1], path + "x", "/uploads/x"):
        assert send(f"http://testserver{changed}", b"direct", {}) == 404
    assert anonymous.get(path).status_code == 405
    assert anonymous.post(path).status_code == 405


class TestCrashes:
    """The process dies between two steps of completing; the next request goes on."""

    class Died(BaseException):
        pass

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            (storage, "copy"),
            (storage, "head"),
            (uploads, "_read_through"),
            (uploads, "_attach"),
            (objects, "make_owned"),
            (uploads, "_delete_quietly"),
        ],
    )
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_the_next_one_goes_on(
        self, as_alice, url, stored_keys, monkeypatch, module, name, when
    ):
        upload = announce(as_alice, url).json()
        send(upload["url"], b"direct", upload["headers"])
        real = getattr(module, name)

        def die(*args, **kwargs):
            if when == "after":
                real(*args, **kwargs)
            raise self.Died

        with monkeypatch.context() as patched:
            patched.setattr(module, name, die)
            with pytest.raises(self.Died):
                complete(as_alice, url, upload)
        # A process that is killed runs no `finally`: its claim lasts for a minute.
        minute = dt.timedelta(minutes=1)
        Upload.objects.filter(state="open").update(claimed_until=timezone.now() + minute)
        if Upload.objects.get().state == "open":
            answer = complete(as_alice, url, upload)
            assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
            assert answer.headers["Retry-After"] == "1"
        Upload.objects.update(claimed_until=timezone.now() - minute)
        done = complete(as_alice, url, upload)
        assert done.json()["state"] == "done"
        assert as_alice.get(url).json()["attachments"] == [done.json()["attachment"]]
        assert fetch(as_alice, done.json()["attachment"]["url"])[2] == b"direct"
        left = stored_keys() - {StoredObject.objects.get().key}
        assert all(key.startswith("arriving/") for key in left)

    def test_a_worker_that_dies_is_followed_by_another(
        self, as_alice, url, bucket, small_parts, monkeypatch
    ):
        content = TestParts.content
        upload = announce(as_alice, url, content).json()
        send_parts(as_alice.get(at(upload, url)).json(), content)
        complete(as_alice, url, upload)

        def die(key):
            raise self.Died

        with monkeypatch.context() as patched:
            patched.setattr(uploads, "_read_through", die)
            with pytest.raises(self.Died):
                uploads.verify_due()
        assert uploads.verify_due() is False  # somebody is at it, for all that is known
        Upload.objects.update(claimed_until=timezone.now() - dt.timedelta(seconds=1))
        assert uploads.verify_due() is True
        assert as_alice.get(at(upload, url)).json()["state"] == "done"
