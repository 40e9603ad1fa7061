"""Thumbnails: made by the worker, shown like files."""

import datetime as dt
import io
import itertools

import pytest
from django.utils import timezone
from PIL import Image

from cloudnotes.pictures import protocol
from notes.files import objects, storage, thumbnailing, thumbnails
from notes.models import StoredObject, Thumbnail
from tests.notes.files import add, fetch, image, new_note, path_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(as_alice):
    return new_note(as_alice)


def make_all():
    while thumbnails.make_due():
        pass


def test_made_shown_and_gone_with_the_image(as_alice, url, stored_keys):
    file = add(as_alice, url, image("JPEG", (2000, 1000)), "p.jpg").json()
    answer = as_alice.get(path_of(file["thumbnail"]))
    assert (answer.status_code, answer.json()["code"]) == (404, "thumbnail_pending")
    assert answer.headers["Retry-After"] == "2"
    make_all()
    for size, expected in ((96, (96, 48)), (320, (320, 160)), (1024, (1024, 512))):
        status, headers, content = fetch(as_alice, f"{file['thumbnail']}?size={size}")
        assert (status, headers["Content-Type"]) == (200, "image/webp")
        assert headers["Content-Disposition"].startswith("inline")
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.size) == ("WEBP", expected)
    assert as_alice.get(f"{path_of(file['thumbnail'])}?size=500").status_code == 400
    assert len(stored_keys()) == 4
    # They count in nobody's quota.
    assert as_alice.get("/api/v1/auth/me").json()["storage"]["files"] == 1
    assert objects.sweep(now=timezone.now() + dt.timedelta(days=1)) == 0
    as_alice.delete(path_of(file["url"]) + "?permanent=true")
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()


def test_where_a_camera_was_is_not_told(as_alice, url, stored_keys):
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)
    exif[0x010E] = "at my place"
    photo = image("JPEG", (400, 300), exif=exif)
    assert b"at my place" in photo
    file = add(as_alice, url, photo, "p.jpg").json()
    make_all()
    content = fetch(as_alice, file["thumbnail"])[2]
    assert b"at my place" not in content
    with Image.open(io.BytesIO(content)) as picture:
        assert dict(picture.getexif()) == {}
    assert fetch(as_alice, file["url"])[2] == photo  # the original stays what it is


@pytest.mark.parametrize("content", [b"text", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n broken", b""])
def test_no_image_has_none(as_alice, url, content):
    file = add(as_alice, url, content).json()
    make_all()
    assert file["thumbnail"] is None
    answer = as_alice.get(path_of(file["url"]) + "/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_thumbnail")


def test_an_image_that_cannot_be_opened_has_none(as_alice, url, stored_keys):
    file = add(as_alice, url, image()[:60]).json()
    assert file["width"] == 40
    make_all()
    assert as_alice.get(path_of(file["thumbnail"])).json()["code"] == "no_thumbnail"
    assert len(stored_keys()) == 1


@pytest.mark.parametrize("reason", [protocol.NOT_IN_TIME, protocol.KILLED])
def test_what_failed_on_a_busy_machine_is_tried_again(
    as_alice, url, stored_keys, monkeypatch, reason
):
    file = add(as_alice, url, image()).json()
    tries, began = [], timezone.now()

    def busy(path):
        tries.append(timezone.now())
        raise protocol.NotMade(reason)

    with monkeypatch.context() as patched:
        patched.setattr(thumbnailing, "make", busy)
        for minutes in range(0, 12 * 60, 1):
            at = began + dt.timedelta(minutes=minutes, seconds=1)
            patched.setattr(timezone, "now", lambda at=at: at)
            make_all()
            if minutes == 1:
                waiting = as_alice.get(path_of(file["thumbnail"]))
                assert waiting.json()["code"] == "thumbnail_pending"
                assert waiting.headers["Retry-After"] == "240"
        pauses = [(late - soon).total_seconds() / 60 for soon, late in itertools.pairwise(tries)]
        assert pauses == [5, 10, 20, 40, 80]
    assert as_alice.get(path_of(file["thumbnail"])).json()["code"] == "no_thumbnail"

    other = add(as_alice, url, image(size=(30, 30))).json()
    with monkeypatch.context() as patched:
        patched.setattr(thumbnailing, "make", busy)
        make_all()
    assert as_alice.get(path_of(other["thumbnail"])).json()["code"] == "thumbnail_pending"
    StoredObject.objects.filter(thumbnails_due_at__isnull=False).update(
        thumbnails_due_at=timezone.now()
    )
    make_all()
    assert fetch(as_alice, other["thumbnail"])[0] == 200


@pytest.mark.parametrize("reason", [protocol.TOOK_TOO_LONG, protocol.CRASHED])
def test_what_is_wrong_with_the_picture_stays_wrong(
    as_alice, url, stored_keys, monkeypatch, reason
):
    file = add(as_alice, url, image()).json()

    def bad(path):
        raise protocol.NotMade(reason)

    monkeypatch.setattr(thumbnailing, "make", bad)
    assert thumbnails.make_due() is True
    assert as_alice.get(path_of(file["thumbnail"])).json()["code"] == "no_thumbnail"


def test_originals_are_decoded_in_a_process_of_their_own(as_alice, url, monkeypatch):
    add(as_alice, url, image())
    monkeypatch.setattr(Image, "open", None)
    make_all()
    assert Thumbnail.objects.count() == 3


def test_the_storage_away_for_a_while(as_alice, url, stored_keys, monkeypatch):
    add(as_alice, url, image())

    def away(key):
        raise storage.StorageUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(storage, "stream", away)
        assert thumbnails.make_due() is False
    assert thumbnails.make_due() is False  # later
    StoredObject.objects.update(thumbnails_due_at=timezone.now())
    make_all()
    assert Thumbnail.objects.count() == 3


@pytest.mark.parametrize("gone", ["note", "made already"])
def test_nothing_is_left_of_what_nobody_wants(as_alice, url, stored_keys, monkeypatch, gone):
    add(as_alice, url, image())
    makes = thumbnailing.make

    def late(path):
        images = makes(path)
        if gone == "note":
            as_alice.delete(f"{url}?permanent=true")
        else:
            StoredObject.objects.update(thumbnails_due_at=None)
        return images

    monkeypatch.setattr(thumbnailing, "make", late)
    thumbnails.make_due()
    assert len(stored_keys()) == StoredObject.objects.count() == (0 if gone == "note" else 1)
    assert not Thumbnail.objects.exists()


@pytest.mark.parametrize("step", ["stream", "open_writer"])
def test_a_worker_that_dies_is_followed_by_another(as_alice, url, stored_keys, monkeypatch, step):
    class Died(BaseException):
        pass

    def die(*args, **kwargs):
        raise Died

    add(as_alice, url, image())
    with monkeypatch.context() as patched:
        patched.setattr(storage, step, die)
        with pytest.raises(Died):
            thumbnails.make_due()
    assert thumbnails.make_due() is False
    StoredObject.objects.filter(thumbnails_due_at__isnull=False).update(
        thumbnails_due_at=timezone.now()
    )
    make_all()
    assert Thumbnail.objects.count() == 3
    objects.sweep(now=timezone.now() + dt.timedelta(hours=2))
    assert len(stored_keys()) == StoredObject.objects.count() == 4
