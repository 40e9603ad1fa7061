"""``auth/me/avatar`` and ``avatars/{id}`` on both storages."""

import errno
import hashlib
import inspect
import io
import itertools
import signal

import pytest
import requests
from django.conf import settings as configured
from django.db import IntegrityError, transaction
from PIL import Image

from accounts import pictures, views
from accounts.actions import avatars, credentials
from accounts.api.me import UserSerializer
from accounts.file_service import FileService
from accounts.models import Avatar, User
from cloudnotes.api.request_id import loggable
from cloudnotes.pictures import renditions
from notes.actions import file_service
from notes.files import storage
from notes.models import StoredObject
from tests.accounts.avatars import AVATAR, ME, colour_of, keys_of_rows, path_of, picture, put
from tests.children import command, dies_of, has_too_little_memory
from tests.clients import in_parallel, new_account
from tests.conftest import client_of
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def test_set_show_replace_remove(as_alice, anonymous, alice, stored_keys):
    assert as_alice.get(ME).json()["avatar"] is None
    response = put(as_alice, picture("red"))
    assert response.status_code == 200
    shown = response.json()
    assert shown.items() <= as_alice.get(ME).json().items()
    assert shown["avatar"].startswith("http://testserver/avatars/")
    path = path_of(shown)
    assert len(path.removeprefix("/avatars/")) == 22
    assert len(stored_keys()) == 3
    for size in pictures.SIZES:
        answer = anonymous.get(path, {"size": size})
        assert Image.open(io.BytesIO(answer.content)).size == (size, size)
    assert Image.open(io.BytesIO(anonymous.get(path).content)).size == (256, 256)
    first = stored_keys()
    assert put(as_alice, picture("lime", "JPEG")).json() == shown  # the address is stable
    assert colour_of(anonymous.get(path)) == "green"
    assert (
        stored_keys() == keys_of_rows() == set(StoredObject.objects.values_list("key", flat=True))
    )
    assert not stored_keys() & first
    assert as_alice.delete(AVATAR).status_code == 204
    assert as_alice.get(ME).json()["avatar"] is None
    assert as_alice.delete(AVATAR).status_code == 404
    assert anonymous.get(path).status_code == 404
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()
    assert path_of(put(as_alice, picture()).json()) != path


def test_a_picture_is_of_its_own_user(as_alice, bob, anonymous, stored_keys):
    as_bob = client_of(bob)
    alices, bobs = put(as_alice, picture("red")).json(), put(as_bob, picture("blue")).json()
    as_alice.delete(AVATAR)
    assert colour_of(anonymous.get(path_of(bobs))) == "blue"
    assert anonymous.get(path_of(alices)).status_code == 404
    assert stored_keys() == keys_of_rows()
    assert len(stored_keys()) == 3


def test_what_the_picture_is_served_as(as_alice, anonymous, stored_keys):
    path = path_of(put(as_alice, picture()).json())
    answer = anonymous.get(path)
    tag = f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert {
        "Content-Type": "image/webp",
        "Content-Length": str(len(answer.content)),
        "Cache-Control": "public, max-age=300",
        "ETag": tag,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }.items() <= dict(answer.headers).items()
    assert "Set-Cookie" not in answer.headers
    head = anonymous.head(path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", tag)


def test_a_known_picture_is_304_without_the_storage(as_alice, anonymous, stored_keys, monkeypatch):
    path = path_of(put(as_alice, picture()).json())
    tag = anonymous.get(path).headers["ETag"]
    with monkeypatch.context() as patched:
        patched.delattr(storage, "read")
        for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = anonymous.get(path, HTTP_IF_NONE_MATCH=given)
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == tag
            assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert anonymous.get(path, {"size": 64}, HTTP_IF_NONE_MATCH=tag).status_code == 200
    assert anonymous.get(path, HTTP_IF_NONE_MATCH='"other"').status_code == 200
    put(as_alice, picture("blue"))
    assert anonymous.get(path, HTTP_IF_NONE_MATCH=tag).status_code == 200


@pytest.mark.parametrize("size", ["", "0", "65", "0256", "٦٤", "-64", "64.0", "x", "1e400"])
def test_other_sizes_are_400(as_alice, anonymous, stored_keys, size):
    path = path_of(put(as_alice, picture()).json())
    answer = anonymous.get(path, {"size": size})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_size")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["x", "a" * 22, "a" * 3000, "%00", "%ff", "é", "..", "a%20b"])
def test_unknown_pictures_are_404(as_alice, anonymous, name):
    put(as_alice, picture())
    answer = anonymous.get(f"/avatars/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["Cache-Control"] == "no-store"
    assert anonymous.post(f"/avatars/{name}").status_code == 405


def test_one_query_a_picture_and_none_more_for_the_account(
    as_alice, anonymous, stored_keys, django_assert_num_queries
):
    path = path_of(put(as_alice, picture()).json())
    with django_assert_num_queries(1):  # avatar JOIN user
        tag = anonymous.get(path).headers["ETag"]
    with django_assert_num_queries(1):  # same
        anonymous.get(path, HTTP_IF_NONE_MATCH=tag)
    with django_assert_num_queries(2):  # session JOIN user, what its files take
        as_alice.get(ME)


def test_where_there_is_no_request_the_address_is_the_public_one(alice, settings):
    settings.PUBLIC_BASE_URL = "https://notes.example.org"
    assert UserSerializer(alice).data["avatar"] is None
    alice.avatar_id = "abc"
    assert UserSerializer(alice).data["avatar"] == "https://notes.example.org/avatars/abc"


def test_logs_do_not_hold_the_address():
    assert loggable("/avatars/abc") == "/avatars/…"
    assert loggable("/api/v1/auth/me/avatar") == "/api/v1/auth/me/avatar"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "not_an_image"),
        (b"<svg onload=alert(1)>", 400, "not_an_image"),
        (picture()[:-60], 400, "not_an_image"),
        (b"x" * (pictures.MAX_BYTES + 1), 413, "file_too_large"),
        (b"x" * (pictures.MAX_BYTES + 2**17), 413, "file_too_large"),
        (picture()[:16] + b"\0\0\x75\x30" * 2 + picture()[24:], 400, "not_an_image"),
    ],
    ids=["empty", "svg", "cut", "large", "larger", "checksum"],
)
def test_bad_pictures_are_problems_and_the_old_one_stays(
    as_alice, anonymous, stored_keys, content, status, code
):
    path = path_of(put(as_alice, picture("red")).json())
    before = stored_keys()
    response = put(as_alice, content)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert problem["errors"][0]["field"] == "avatar"
    assert colour_of(anonymous.get(path)) == "red"
    assert stored_keys() == before


HANGS = "import time; time.sleep(60)"
ENDLESS = "import os\nwhile True: os.write(1, bytes(2**16))"


@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [
        (has_too_little_memory(40), 400, "not_an_image"),
        (dies_of(signal.SIGXCPU), 400, "not_an_image"),
        (dies_of(signal.SIGSEGV), 400, "not_an_image"),
        ("raise SystemExit(1)", 400, "not_an_image"),
        (ENDLESS, 400, "not_an_image"),
        (dies_of(signal.SIGKILL), 503, "overloaded"),  # so does a system that has no memory left
        (HANGS, 503, "overloaded"),
    ],
    ids=["memory", "time", "crash", "exit", "endless", "killed", "hangs"],
)
def test_a_child_that_fails_is_a_problem_and_the_old_picture_stays(
    as_alice, anonymous, stored_keys, monkeypatch, code, status, problem
):
    path = path_of(put(as_alice, picture("red")).json())
    before = stored_keys()
    large = picture("blue", size=(5000, 5000))
    with monkeypatch.context() as patched:
        patched.setattr(renditions, "COMMAND", command(code))
        if code == HANGS:
            patched.setattr(pictures, "TIMEOUT_SECONDS", 0.3)
        response = put(as_alice, large)
    assert (response.status_code, response.json()["code"]) == (status, problem)
    assert ("Retry-After" in response.headers) == (status == 503)
    assert colour_of(anonymous.get(path)) == "red"
    assert stored_keys() == before == keys_of_rows()
    assert put(as_alice, picture("blue")).status_code == 200


@pytest.mark.parametrize("lacking", ["process", "disk"])
def test_a_child_that_cannot_be_started_is_503(as_alice, stored_keys, monkeypatch, lacking):
    def fails(*args, **kwargs):
        raise OSError(errno.EAGAIN, "no more")

    with monkeypatch.context() as patched:
        if lacking == "process":
            patched.setattr(renditions.subprocess, "Popen", fails)
        else:
            patched.setattr(pictures.tempfile, "NamedTemporaryFile", fails)
        response = put(as_alice, picture())
    assert (response.status_code, response.json()["code"]) == (503, "overloaded")
    assert stored_keys() == set()
    assert put(as_alice, picture()).status_code == 200


def test_bombs_and_pictures_are_not_opened_in_this_process(as_alice, stored_keys, monkeypatch):
    bomb, good = picture(size=(5001, 5000)), picture()
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: pytest.fail("it was opened"))
    response = put(as_alice, bomb)
    assert (response.status_code, response.json()["code"]) == (413, "too_many_pixels")
    assert stored_keys() == set()
    assert put(as_alice, good).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (picture(), "image/png", 415),
        (b"", "multipart/form-data; boundary=b", 400),
        (b"nonsense", "multipart/form-data", 400),
        (b'--b\r\nContent-Disposition: form-data; name="avatar"\r\n\r\ntext\r\n--b--\r\n',
         "multipart/form-data; boundary=b", 400),
        (b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n',
         "multipart/form-data; boundary=b", 400),
    ],
)  # fmt: skip
def test_bad_forms_are_problems(as_alice, body, content_type, status):
    response = as_alice.put(AVATAR, body, content_type=content_type)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert not Avatar.objects.exists()


def test_a_profile_cannot_set_the_address(as_alice, alice):
    as_alice.patch(ME, {"avatar": "http://x/y", "avatar_id": "x"}, format="json")
    alice.refresh_from_db()
    assert alice.avatar_id is None


class TestOutages:
    @pytest.fixture
    def outage(self, settings):
        """Return a function after which nothing listens where the bucket was."""
        options = {
            "bucket_name": "gone",
            "region_name": "us-east-1",
            "access_key": "k",
            "secret_key": "s",
            "endpoint_url": f"http://127.0.0.1:{free_port()}",
        }
        backend = {"BACKEND": "notes.files.s3.BucketStorage", "OPTIONS": options}

        def strike():
            settings.STORAGES = {**configured.STORAGES, "default": backend}

        return strike

    def test_both_ways_are_503(self, as_alice, anonymous, stored_keys, outage):
        path = path_of(put(as_alice, picture()).json())
        tag = anonymous.get(path).headers["ETag"]
        outage()
        for answer in (anonymous.get(path), put(as_alice, picture())):
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert anonymous.get(path, HTTP_IF_NONE_MATCH=tag).status_code == 304
        assert as_alice.get(ME).json()["avatar"].endswith(path)
        assert as_alice.delete(AVATAR).status_code == 204  # the sweeper has the rest to do
        assert StoredObject.objects.filter(state="doomed").count() == 3

    @pytest.mark.parametrize("stored_before", [0, 1, 2])
    def test_a_put_that_fails_half_way_keeps_the_old_picture(
        self, as_alice, anonymous, stored_keys, monkeypatch, stored_before
    ):
        path = path_of(put(as_alice, picture("red")).json())
        opens, left = storage.open_writer, [stored_before]

        def fails(*args, **kwargs):
            if not left[0]:
                raise storage.StorageUnavailable
            left[0] -= 1
            return opens(*args, **kwargs)

        monkeypatch.setattr(storage, "open_writer", fails)
        assert put(as_alice, picture("blue")).status_code == 503
        assert colour_of(anonymous.get(path)) == "red"
        assert len(keys_of_rows()) == 3
        assert keys_of_rows() <= stored_keys()

    def test_an_object_that_is_missing_is_404(self, as_alice, anonymous, stored_keys):
        path = path_of(put(as_alice, picture()).json())
        for key in stored_keys():
            storage.delete(key)
        assert anonymous.get(path).status_code == 404


def test_replaced_between_the_look_and_the_read(as_alice, anonymous, stored_keys, monkeypatch):
    path = path_of(put(as_alice, picture("red")).json())
    reads, times = avatars.read, []

    def late(*, avatar):
        if not times:
            put(as_alice, picture("blue"))
        times.append(avatar)
        return reads(avatar=avatar)

    monkeypatch.setattr(avatars, "read", late)
    assert colour_of(anonymous.get(path)) == "blue"
    assert len(times) == views.ATTEMPTS


def test_the_account_gone_while_its_picture_was_on_its_way(as_alice, alice, stored_keys):
    stale = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).delete()
    with pytest.raises(credentials.AccountGone):
        avatars.set_avatar(user=stale, images=pictures.cut(io.BytesIO(picture())))
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()


def test_the_database_holds_one_picture_a_size(alice):
    Avatar.objects.create(user=alice, size=64, key="a", etag="")
    for size, key in ((64, "b"), (256, "a"), (65, "c")):
        with pytest.raises(IntegrityError), transaction.atomic():
            Avatar.objects.create(user=alice, size=size, key=key, etag="")
    with pytest.raises(IntegrityError), transaction.atomic():
        Avatar.objects.create(user_id=alice.pk + 1, size=64, key="d", etag="")


def test_the_file_service_is_what_accounts_ask_for():
    """What mypy cannot see through a setting."""
    members = {n: m for n, m in vars(FileService).items() if inspect.isfunction(m)}
    members = {name: member for name, member in members.items() if not name.startswith("_")}
    assert set(members) == set(file_service.__all__)
    for name, member in members.items():
        parameters = list(inspect.signature(member).parameters.values())[1:]
        named = {each.name: None for each in parameters if each.kind == each.KEYWORD_ONLY}
        inspect.signature(getattr(file_service, name)).bind(**named)


def test_parallel_uploads_leave_the_winners_picture_alone(server, s3):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    bucket = server.environment["BUCKET_NAME"]
    before = s3.keys(bucket)
    colours = itertools.cycle(["red", "lime", "blue"])

    def upload():
        files = {"avatar": ("a.png", picture(next(colours), size=(600, 600)))}
        return requests.put(f"{server.api}/auth/me/avatar", files=files, headers=header, timeout=60)

    answers = in_parallel(8, upload)
    assert {answer.status_code for answer in answers} == {200}
    addresses = {answer.json()["avatar"] for answer in answers}
    assert len(addresses) == 1
    assert len(s3.keys(bucket) - before) == 3
    address = addresses.pop()
    sizes = {
        size: colour_of(requests.get(address, params={"size": size}, timeout=60))
        for size in pictures.SIZES
    }
    assert len(set(sizes.values())) == 1  # all of one winner
    assert requests.head(address, timeout=60).headers["Content-Type"] == "image/webp"
    removed = requests.delete(f"{server.api}/auth/me/avatar", headers=header, timeout=60)
    assert removed.status_code == 204
    assert s3.keys(bucket) == before


def test_a_live_server_refuses_a_picture_far_too_large(server):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    files = {"avatar": ("a.png", b"x" * (7 * 2**20))}
    answer = requests.put(f"{server.api}/auth/me/avatar", files=files, headers=header, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
