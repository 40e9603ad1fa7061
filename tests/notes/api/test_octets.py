"""Files that are sent as they are, without a form."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from notes.models import StoredObject

pytestmark = pytest.mark.django_db(transaction=True)
OCTETS = "application/octet-stream"


@pytest.fixture
def note_url(as_alice, stored_keys):
    note = as_alice.post("/api/v1/notes", {"title": "With a file"}, format="json").json()
    return f"/api/v1/notes/{note['id']}"


def send(client, method, url, body=b"hello", content_type=OCTETS, **headers):
    return client.generic(method, url, body, content_type=content_type, **headers)


def test_add_replace_and_read(as_alice, note_url, stored_keys):
    files = f"{note_url}/attachments"
    added = send(as_alice, "POST", f"{files}?name=a%20b%26.txt")
    assert added.status_code == 201, added.content
    file = added.json()
    assert (file["name"], file["size"]) == ("a b&.txt", 5)
    replaced = send(as_alice, "PUT", f"{files}/{file['id']}?name=c.txt", b"other")
    assert (replaced.status_code, replaced.json()["name"]) == (200, "c.txt")
    main = send(as_alice, "PUT", f"{note_url}/file?name=main.json", b"{}", "application/json")
    assert (main.status_code, main.json()["name"]) == (200, "main.json")
    unnamed = send(as_alice, "PUT", f"{note_url}/file", b"x")
    assert (unnamed.status_code, unnamed.json()["name"]) == (200, "file")
    large = b"0123456789abcdef" * 2**16
    assert send(as_alice, "PUT", f"{note_url}/file?name=l", large).json()["size"] == len(large)


def test_sent_again_with_its_key_it_is_one_file(as_alice, note_url, stored_keys):
    url, key = f"{note_url}/attachments?name=a", {"HTTP_IDEMPOTENCY_KEY": "k"}
    first, again = (send(as_alice, "POST", url, **key) for _ in range(2))
    assert first.content == again.content
    assert len(as_alice.get(note_url).json()["attachments"]) == len(stored_keys()) == 1


def test_what_is_refused_leaves_nothing(as_alice, as_carol, note_url, stored_keys, settings):
    settings.MAX_FILE_BYTES = 10
    files, name = f"{note_url}/attachments", "?name=a"
    for client, method, url, body, kind, status in (
        # JSON where a form was meant is not stored as a file.
        (as_alice, "POST", files, b"{}", "application/json", 415),
        (as_alice, "PUT", f"{note_url}/file", b"{}", "application/json", 415),
        (as_alice, "POST", files + name, b"x" * 11, OCTETS, 413),
        (as_alice, "POST", f"{files}?name=", b"x", OCTETS, 400),
        (as_alice, "POST", f"{files}?nmae=a", b"x", OCTETS, 400),
        (as_alice, "POST", files + name, b"", OCTETS, 400),
        (as_carol, "POST", files + name, b"x", OCTETS, 404),
        (as_carol, "PUT", f"{note_url}/file{name}", b"x", OCTETS, 404),
    ):
        answer = send(client, method, url, body, kind)
        assert answer.status_code == status, (method, url, answer.content)
    form = {"file": SimpleUploadedFile("b", b"x")}
    assert as_alice.post(files + name, form, format="multipart").status_code == 400
    stale = send(as_alice, "PUT", f"{note_url}/file{name}", HTTP_IF_MATCH='"9"')
    assert stale.status_code == 412
    assert stored_keys() == set()
    assert not StoredObject.objects.exists()
    assert as_alice.get(note_url).json()["attachments"] == []
