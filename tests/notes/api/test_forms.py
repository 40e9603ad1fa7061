"""``POST notes`` as a form, with a file or without."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from notes.models import Note, StoredObject
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db(transaction=True)
PREFIXES = ("/api/v1/notes", "/notes")
FORM = "application/x-www-form-urlencoded"


def file(content=b"hello", name="hello.txt"):
    return SimpleUploadedFile(name, content)


def send(client, url=PREFIXES[0], headers=None, **fields):
    body = encode_multipart(BOUNDARY, fields)
    return client.post(url, body, content_type=MULTIPART_CONTENT, **(headers or {}))


@pytest.mark.parametrize("url", PREFIXES)
def test_a_note_with_a_file(as_alice, stored_keys, url):
    made = send(as_alice, url, title="t", content="c", tags=["a", "b"], file=file())
    assert made.status_code == 201, made.content
    note = made.json()
    assert made.headers["Location"] == f"http://testserver{url}/{note['id']}"
    assert made.headers["ETag"] == f'"{note["version"]}"'
    assert (note["title"], note["content"], note["tags"]) == ("t", "c", ["a", "b"])
    assert (note["file"]["name"], note["file"]["size"]) == ("hello.txt", 5)
    assert as_alice.get(f"{url}/{note['id']}").json() == note
    assert len(stored_keys()) == 1


@pytest.mark.parametrize("url", PREFIXES)
def test_a_form_without_a_file(as_alice, url):
    made = send(as_alice, url, title="t", is_favorite="true")
    assert (made.status_code, made.json()["is_favorite"]) == (201, True)
    form = "content=%23+Milk%0Aand+bread&tags=a&tags=b&category=Home"
    made = as_alice.post(url, form, content_type=FORM)
    assert made.status_code == 201, made.content
    note = made.json()
    assert (note["title"], note["tags"], note["category"]) == ("Milk", ["a", "b"], "Home")


def test_what_is_refused_leaves_nothing(as_alice, stored_keys, settings):
    settings.MAX_ACCOUNT_BYTES = 10
    for fields, status in (
        ({"title": "x" * 201, "file": file()}, 400),
        ({"title": "t", "unknown": "x", "file": file()}, 400),
        ({"title": "t", "file": file(b"x" * 11)}, 413),
        ({"title": "t", "other": file()}, 400),
        ({"file": file()}, 400),
    ):
        assert send(as_alice, **fields).status_code == status, fields
    for form in ("title=a&title=b", "title=t&unknown=x", "title=%00", "title=%ff%00"):
        assert as_alice.post(PREFIXES[0], form, content_type=FORM).status_code == 400, form
    assert not Note.objects.exists()
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()


def test_a_category_that_a_token_may_not_write_leaves_nothing(as_alice, stored_keys):
    body = {"name": "t", "password": PASSWORD, "scopes": ["notes:append"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", body, format="json").json()["token"]
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    refused = send(client, title="t", category="Home", file=file())
    assert refused.status_code == 403
    assert stored_keys() == set()
    made = send(client, title="t", file=file()).json()
    assert (made["category"], made["file"]["name"]) == ("Work", "hello.txt")


def test_sent_again_with_its_key_it_is_one_note(as_alice, stored_keys):
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}
    first, again = (send(as_alice, headers=key, title="t", file=file()) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["Location"] == first.headers["Location"]
    other = send(as_alice, headers=key, title="t", file=file(b"other"))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Note.objects.count() == len(stored_keys()) == 1


def test_equal_bytes_are_stored_once(as_alice, stored_keys):
    for _ in range(2):
        assert send(as_alice, title="t", file=file()).status_code == 201
    assert len(stored_keys()) == 1


def test_other_notes_take_no_form(as_alice):
    note = send(as_alice, title="t", content="c").json()
    for method in ("put", "patch"):
        url = f"{PREFIXES[0]}/{note['id']}"
        body = encode_multipart(BOUNDARY, {"title": "x", "content": "x"})
        answer = getattr(as_alice, method)(url, body, content_type=MULTIPART_CONTENT)
        assert answer.status_code == 415
