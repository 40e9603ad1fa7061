"""What the contenders are asked: the requests of each operation, and whether an answer is right."""

import dataclasses
import json
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

from benchmarks import filling
from benchmarks.contenders import CloudNotes, Contender
from benchmarks.generator import MARK, fresh

PAGE = 20
BODIES = 200  # different texts of each user, a part of which is new in every request
SEARCHED = 50  # different words
TIMEOUT_SECONDS = 30


class NotOffered(Exception):
    """The contender does not have what the operation asks for; the message says so."""


class WrongAnswer(Exception):
    """A contender does not do what all are to do."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer to one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.body)


def ask(contender: Contender, request: bytes) -> Answer:
    """Send one request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", contender.port), TIMEOUT_SECONDS) as connection:
        connection.sendall(fresh(request))
        answer = HTTPResponse(connection)
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read())


def write_request(
    contender: Contender,
    method: str,
    path: str,
    *,
    token: str = "",
    body: bytes = b"",
    **headers: str,
) -> bytes:
    """Return a request as it goes over the wire; ``if_none_match`` is ``If-None-Match``."""
    fields = {"Host": f"127.0.0.1:{contender.port}"}
    if token:
        fields["Authorization"] = f"Bearer {token}"
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    lines = [f"{method} {contender.prefix}{path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def list_notes(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield the list of 20 notes."""
    for user in users:
        yield write_request(contender, "GET", f"/notes?limit={PAGE}", token=contender.token(user))


def one_note(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield each note."""
    for user in users:
        for pk in contender.note_ids(user):
            yield write_request(contender, "GET", f"/notes/{pk}", token=contender.token(user))


def create(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield new notes of 500 bytes, of users who ask for nothing else: no list gets longer."""
    for user in users:
        token = contender.token(filling.USERS + 1 - user)
        for body in _bodies(user):
            yield write_request(contender, "POST", "/notes", token=token, body=body)


def update(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield a new text of 500 bytes for each note."""
    for user in users:
        token, bodies = contender.token(user), _bodies(user)
        for pk, body in zip(contender.note_ids(user), bodies, strict=False):
            yield write_request(contender, "PUT", f"/notes/{pk}", token=token, body=body)


def login(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield the OAuth2 password form."""
    for user in users:
        form = {"username": filling.email(user), "password": filling.PASSWORD}
        yield write_request(
            contender,
            "POST",
            "/auth/login",
            body=urlencode(form).encode(),
            content_type="application/x-www-form-urlencoded",
        )


def not_modified(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield the list for who has it already; of the baselines, which know no better, the list."""
    yield from conditional(contender, list(list_notes(contender, users)), "the list")


def note_not_modified(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield each note for who has it already; of the baselines, which know no better, the note."""
    yield from conditional(contender, list(one_note(contender, users)), "a note")


def search(contender: Contender, users: Sequence[int]) -> Iterator[bytes]:
    """Yield searches for single words, each of which a few notes of the user have."""
    for user in users:
        chosen = random.Random(user)
        words = sorted({word for text in filling.texts(user) for word in text.content.split()[:-1]})
        for word in chosen.sample(words, SEARCHED):
            path = contender.search + word
            yield write_request(contender, "GET", path, token=contender.token(user))


def conditional(contender: Contender, requests: Sequence[bytes], what: str) -> Iterator[bytes]:
    """Yield the requests of a client that has the answers already, whose ETags it sends.

    Of the baselines the requests as they are. Raises :class:`NotOffered` where there is no ETag.
    """
    for request in requests:
        if not isinstance(contender, CloudNotes):
            yield request
            continue
        tag = ask(contender, request).headers.get("etag")
        if tag is None:
            raise NotOffered(f"{what} is answered without an ETag")
        yield request[:-2] + f"If-None-Match: {tag}\r\n\r\n".encode()


def _bodies(user: int) -> Iterator[bytes]:
    chosen = random.Random(-user)
    for number in range(BODIES):
        text = (MARK.decode() + " " + filling.content(chosen))[: filling.CONTENT_BYTES]
        yield json.dumps({"title": f"Note {number}", "content": text}).encode()


def _expect(is_right: bool, contender: Contender, answer: Answer, what: str) -> None:
    if not is_right:
        told = answer.body[:200].decode(errors="replace")
        raise WrongAnswer(f"{contender.name}: {what}: {answer.status} {told}")


def _is_whole(note: dict[str, Any]) -> bool:
    fields = {"id", "title", "content", "category", "version", "created_at", "updated_at"}
    return fields <= note.keys() and len(note["content"].encode()) == filling.CONTENT_BYTES


def _check_list(contender: Contender, answer: Answer, request: bytes) -> None:
    _expect(answer.status == 200, contender, answer, "the list")
    notes = contender.listed(answer.json())
    _expect(len(notes) == PAGE and all(map(_is_whole, notes)), contender, answer, "20 whole notes")
    edited = [note["updated_at"] for note in notes]
    _expect(edited == sorted(edited, reverse=True), contender, answer, "the last edited first")


def _check_note(contender: Contender, answer: Answer, request: bytes) -> None:
    _expect(answer.status == 200 and _is_whole(answer.json()), contender, answer, "a whole note")


def _check_created(contender: Contender, answer: Answer, request: bytes) -> None:
    _expect(answer.status == 201 and _is_whole(answer.json()), contender, answer, "a new note")
    _expect(answer.json()["version"] == 1, contender, answer, "version 1")


def _check_updated(contender: Contender, answer: Answer, request: bytes) -> None:
    _expect(answer.status == 200 and _is_whole(answer.json()), contender, answer, "the new text")
    _expect(answer.json()["version"] > 1, contender, answer, "a new version")


def _check_tokens(contender: Contender, answer: Answer, request: bytes) -> None:
    _expect(
        answer.status == 200 and bool(answer.json()["access_token"]), contender, answer, "a token"
    )


def _check_known_list(contender: Contender, answer: Answer, request: bytes) -> None:
    if isinstance(contender, CloudNotes):
        _expect(answer.status == 304 and not answer.body, contender, answer, "304")
    else:
        _check_list(contender, answer, request)


def _check_known_note(contender: Contender, answer: Answer, request: bytes) -> None:
    if isinstance(contender, CloudNotes):
        _expect(answer.status == 304 and not answer.body, contender, answer, "304")
    else:
        _check_note(contender, answer, request)


def _check_found(contender: Contender, answer: Answer, request: bytes) -> None:
    _expect(answer.status == 200, contender, answer, "a search")
    word = request.split(b" ")[1].rpartition(b"=")[2].decode()
    notes = contender.listed(answer.json())
    found = [note["id"] for note in notes if word in json.dumps(note)]
    _expect(0 < len(found) == len(notes) <= PAGE, contender, answer, f"notes with {word}")


@dataclasses.dataclass(frozen=True)
class Operation:
    """Something that every contender is asked for.

    ``requests`` yields for a contender and some users what is sent and raises :class:`NotOffered`;
    ``check`` raises :class:`WrongAnswer`.
    """

    title: str
    requests: Callable[[Contender, Sequence[int]], Iterator[bytes]]
    check: Callable[[Contender, Answer, bytes], None]


OPERATIONS = {
    "list": Operation("List of 20 notes of 500 bytes", list_notes, _check_list),
    "one": Operation("One note of 500 bytes", one_note, _check_note),
    "not_modified": Operation(
        "The list again, 304 (the baselines: the list)", not_modified, _check_known_list
    ),
    "note_not_modified": Operation(
        "The note again, 304 (the baselines: the note)", note_not_modified, _check_known_note
    ),
    "search": Operation("Search for a word (the baselines: ILIKE)", search, _check_found),
    "create": Operation("Create a note of 500 bytes", create, _check_created),
    "update": Operation("Replace a note of 500 bytes", update, _check_updated),
    "login": Operation("Log in", login, _check_tokens),
}


def check(operation: Operation, contender: Contender, request: bytes) -> int:
    """Ask once and return the size of the answer's body. Raises :class:`WrongAnswer`."""
    answer = ask(contender, request)
    operation.check(contender, answer, request)
    return len(answer.body)


def check_guards(contender: Contender) -> None:
    """Make sure that nobody reads what is not theirs. Raises :class:`WrongAnswer`."""
    (foreign, *_), token = contender.note_ids(2), contender.token(1)
    for path, given, expected in [
        ("/notes", "", 401),
        ("/notes", token[:-6] + "AAAAAA", 401),
        (f"/notes/{foreign}", token, 404),
        ("/notes/999999999", token, 404),
        (f"/notes/{foreign}", contender.token(2), 200),
    ]:
        answer = ask(contender, write_request(contender, "GET", path, token=given))
        _expect(answer.status == expected, contender, answer, f"{expected} expected")
    body = next(_bodies(1))
    answer = ask(
        contender, write_request(contender, "PUT", f"/notes/{foreign}", token=token, body=body)
    )
    _expect(answer.status == 404, contender, answer, "404 expected")
