"""The main job: a client that nobody here wrote stores real notes and images and gets them back.

The client is requests-oauthlib (password grant). The notes are the Markdown files and READMEs of
the installed packages, the images lie in them too. The server is the Procfile's, with two worker
processes and a real S3 server.
"""

import email
import hashlib
import secrets
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import requests
from oauthlib.oauth2 import LegacyApplicationClient
from requests_oauthlib import OAuth2Session

from tests.conftest import PASSWORD
from tests.servers import Server, wait_for

MAX_CONTENT = 2**20
IMAGES = {".png", ".svg", ".gif", ".jpg", ".jpeg", ".ico", ".webp"}


def installed_files() -> list[Path]:
    files = [
        Path(str(file.locate()))
        for distribution in metadata.distributions()
        for file in distribution.files or ()
    ]
    return sorted({file.resolve() for file in files if file.is_file()})


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    """Return at least 200 different real Markdown texts by a title each."""
    found = {}
    for path in installed_files():
        if path.suffix == ".md" and 0 < path.stat().st_size <= MAX_CONTENT:
            found["/".join(path.parts[-4:])[:200]] = path.read_bytes().decode()
    for distribution in metadata.distributions():
        about = email.message_from_string(distribution.read_text("METADATA") or "")
        text = about.get_payload()
        if "markdown" in (about["Description-Content-Type"] or "") and isinstance(text, str):
            found[f"README of {about['Name']}"] = text
    assert len(found) >= 200
    return found


@pytest.fixture(scope="module")
def images() -> list[Path]:
    """Return at least 20 different real images."""
    found = {path.read_bytes(): path for path in installed_files() if path.suffix in IMAGES}
    assert len(found) >= 20
    return sorted(found.values())


def log_in(server: Server) -> OAuth2Session:
    name = secrets.token_hex(6)
    account = {"email": f"{name}@example.org", "password": PASSWORD, "username": name}
    response = requests.post(f"{server.api}/auth/register", json=account, timeout=60)
    assert response.status_code == 201
    session = OAuth2Session(client=LegacyApplicationClient(client_id="a-stranger's-client"))
    session.fetch_token(f"{server.api}/auth/login", username=name, password=PASSWORD)
    return session


def fetch(session: OAuth2Session, url: str) -> bytes:
    response = session.get(url, timeout=60)
    assert response.status_code == 200
    return response.content


def test_the_main_job_with_files_on_s3(server, documents, images, s3, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    bucket = server.environment["BUCKET_NAME"]
    do_the_main_job(server, documents, images, lambda: s3.keys(bucket))


def test_the_main_job_with_files_on_disk(disk_server, documents, images, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    folder = Path(disk_server.environment["DATA_DIR"]) / "files"

    def objects() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    do_the_main_job(disk_server, documents, images, objects)


def do_the_main_job(
    server: Server,
    documents: dict[str, str],
    images: list[Path],
    objects: Callable[[], set[str]],
) -> None:
    """Use the service for an hour as its first client does; ``objects`` tells what is stored."""

    def held() -> int:
        account = session.get(f"{server.api}/auth/me", timeout=60).json()
        return int(account["storage"]["files"])

    before = objects()
    session = log_in(server)

    ids = {}
    for title, content in documents.items():
        note = {"title": title, "content": content}
        response = session.post(f"{server.api}/notes", json=note, timeout=60)
        assert response.status_code == 201, response.text
        ids[title] = response.json()["id"]
    with_image = dict(zip(ids.values(), images, strict=False))
    for note_id, image in with_image.items():
        with image.open("rb") as file:
            response = session.put(
                f"{server.api}/notes/{note_id}/file", files={"file": file}, timeout=60
            )
        assert response.status_code == 200, response.text
    assert len(with_image) >= 20

    # Every note by itself, then all of them through the pages of the list: byte for byte.
    for title, content in documents.items():
        note = session.get(f"{server.api}/notes/{ids[title]}", timeout=60).json()
        assert (note["title"], note["content"].encode()) == (title, content.encode())
    listed, cursor = {}, ""
    while cursor is not None:
        page = session.get(f"{server.api}/notes?limit=50&cursor={cursor}", timeout=60).json()
        listed |= {note["title"]: note["content"] for note in page["results"]}
        cursor = page["next"]
    assert listed == documents
    for note_id, image in with_image.items():
        shown = session.get(f"{server.api}/notes/{note_id}", timeout=60).json()["file"]
        content = fetch(session, shown["url"])
        assert content == image.read_bytes()
        assert shown["sha256"] == hashlib.sha256(content).hexdigest()
        assert (shown["size"], shown["name"]) == (len(content), image.name)
    different = {image.read_bytes() for image in with_image.values()}
    assert held() == len(different)

    # Replace five, take five away, delete five notes.
    owners = list(with_image)
    for note_id in owners[:5]:
        files = {"file": ("new.bin", f"new {note_id}".encode())}
        session.put(f"{server.api}/notes/{note_id}/file", files=files, timeout=60)
        url = f"{server.api}/notes/{note_id}/file"
        assert fetch(session, url) == f"new {note_id}".encode()
    for note_id in owners[5:10]:
        url = f"{server.api}/notes/{note_id}/file"
        assert session.delete(url, timeout=60).status_code == 204
    for note_id in owners[10:15]:
        url = f"{server.api}/notes/{note_id}?permanent=true"
        assert session.delete(url, timeout=60).status_code == 204
    for note_id in owners[15:]:
        url = f"{server.api}/notes/{note_id}/file"
        assert fetch(session, url) == with_image[note_id].read_bytes()
    # The history has what was replaced and taken away; what was deleted is gone.
    different -= {with_image[note_id].read_bytes() for note_id in owners[10:15]}
    different |= {with_image[note_id].read_bytes() for note_id in [*owners[:10], *owners[15:]]}
    assert held() == len(different) + 5

    # The account goes, and with it the last object.
    body = {"password": PASSWORD}
    assert session.delete(f"{server.api}/auth/me", json=body, timeout=60).status_code == 204
    # A thumbnail that was being made just then goes when it is made.
    wait_for(lambda: objects() == before, server.process, "the storage without the account's files")
