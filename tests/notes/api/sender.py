"""Somebody who sends what they like to a running service, byte by byte."""

import contextlib
import hashlib
import http.client
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

from tests.clients import new_account
from tests.cloudnotes.toy import connect, read_response
from tests.notes.api.harmless import BOUNDARY, form, part
from tests.waiting import until

FIRST = part(b"first")
WHOLE = form(FIRST)


class Sent(NamedTuple):
    """What is sent after the usual headers, and the file that may be kept."""

    headers: tuple[str, ...]
    body: bytes = WHOLE
    kept: bytes | None = None
    is_closed: bool = False  # by the client, as soon as it is sent


def length(said: object, **more: Any) -> Sent:
    return Sent((f"Content-Length: {said}",), **more)


POINTED_AT_BY_NOTHING = """
    SELECT key, state FROM notes_storedobject stored
    WHERE NOT EXISTS (SELECT 1 FROM notes_attachment WHERE object_id = stored.id)
    AND NOT EXISTS (SELECT 1 FROM notes_keptfile WHERE object_id = stored.id)
    AND NOT EXISTS (SELECT 1 FROM notes_upload WHERE object_id = stored.id)
    AND NOT EXISTS (SELECT 1 FROM notes_thumbnail WHERE object_id = stored.id)
    AND NOT EXISTS (SELECT 1 FROM accounts_avatar WHERE key = stored.key)
"""


class Sender:
    """Somebody who sends what they like to a running service."""

    def __init__(self, server):
        self.server = server
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {new_account(server)[1]['access_token']}"
        self.note_url = ""

    def begin(self):
        """Take a new note."""
        note = self.session.post(f"{self.server.api}/notes", json={"title": "t"}, timeout=60)
        self.note_url = f"{self.server.api}/notes/{note.json()['id']}"

    def send(self, sent, *, path="attachments", method="POST", parameters=f"boundary={BOUNDARY}"):
        """Return status, headers and body of the answer; None if there is none."""
        head = [
            f"{method} {urlsplit(self.note_url).path}/{path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: {self.session.headers['Authorization']}",
            f"Content-Type: multipart/form-data; {parameters}",
            *sent.headers,
        ]
        with contextlib.closing(connect(self.server.port)) as connection:
            try:
                connection.sendall("\r\n".join([*head, "", ""]).encode() + sent.body)
                if sent.is_closed:
                    connection.shutdown(socket.SHUT_WR)
                return read_response(connection)
            except (ConnectionError, http.client.HTTPException):
                return None

    def files(self):
        """Return the contents of the note's files."""
        listed = self.session.get(f"{self.note_url}/attachments", timeout=60)
        assert listed.status_code == 200
        files = listed.json()["results"]
        answers = [
            self.session.get(f"{self.note_url}/attachments/{file['id']}", timeout=60)
            for file in files
        ]
        digests = [hashlib.sha256(answer.content).hexdigest() for answer in answers]
        assert digests == [file["sha256"] for file in files]
        return [answer.content for answer in answers]

    @contextlib.contextmanager
    def new_note(self):
        """Take a new note; at the end nothing is left that nothing points at, and all goes on."""
        before = self.left()
        self.begin()
        yield
        # On a busy machine it takes a while until a client that broke off is noticed.
        until(lambda: self.left() <= before, "a storage without objects that nothing points at")
        assert requests.get(f"{self.server.url}/health/ready", timeout=60).status_code == 200

    def left(self):
        """Return the objects that nothing points at."""
        return set(self.server.rows(POINTED_AT_BY_NOTHING))

    def check(self, answer, kept):
        """Check that the answer is no failure of ours, and that only what may be kept is."""
        if answer is not None:
            status, headers, body = answer
            assert 200 <= status < 500, body
            if status == 201:
                assert self.files() == [kept]
                return
            assert status >= 400
            assert headers["content-type"] == "application/problem+json", body
        assert self.files() == []
