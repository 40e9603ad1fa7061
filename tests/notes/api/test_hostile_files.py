"""Hostile files, forms and uploads: what is refused is refused well, what is kept hurts nobody."""

import contextlib
import datetime as dt
import hashlib
import http.client
import json
import re
import socket
import time
import unicodedata
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
import requests
from django.utils import timezone

from notes import storage
from notes.actions import objects, thumbnails
from notes.models import Note, StoredObject, Thumbnail, Upload
from tests.clients import new_account
from tests.cloudnotes.toy import connect, read_response
from tests.notes.api.hostile_files import (
    FILES,
    HOSTILE_CONTENTS,
    INJECTED,
    NAMES,
    PAGE,
    SVG,
    WHOLE_PNG,
)

ONCE = pytest.mark.django_db  # in a transaction that is never committed: quicker
COMMITTED = pytest.mark.django_db(transaction=True)

TEXT, OCTETS = "text/plain; charset=utf-8", "application/octet-stream"
PICTURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
SERVED_AS = {*PICTURES, "application/pdf", TEXT, OCTETS}
# RFC 6266: one name, quoted or extended, and nothing else.
DISPOSITION = re.compile(
    r"(?P<kind>attachment|inline)"
    r"(?:; filename=\"(?P<quoted>(?:[^\"\\\x00-\x1f\x7f-\uffff]|\\[\"\\])*)\""
    r"|; filename\*=utf-8''(?P<extended>(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+))"
)
BOUNDARY = "3f8a61c0d94b4e7fa2"


def form(*parts: bytes, boundary: str = BOUNDARY) -> bytes:
    """Return the body of a form whose parts are as they are."""
    lines = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return lines + b"--%s--\r\n" % boundary.encode()


def part(content: bytes, *headers: str, field: str = "file", name: str | None = "a.bin") -> bytes:
    """Return a part of a form: a file, or a field if it has no name."""
    disposition = f'form-data; name="{field}"' + (f'; filename="{name}"' if name else "")
    lines = [f"Content-Disposition: {disposition}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def post(client, note_url, body, boundary=BOUNDARY):
    content_type = f"multipart/form-data; boundary={boundary}"
    return client.post(f"{note_url}/attachments", body, content_type=content_type)


def is_problem(answer):
    return (
        400 <= answer.status_code < 500
        and answer.headers["Content-Type"] == "application/problem+json"
        and answer.json()["status"] == answer.status_code
    )


def assert_name_is_harmless(name):
    assert name
    assert name.strip(".")
    assert not set(name) & set("/\\")
    assert len(name.encode()) <= 255
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert unicodedata.is_normalized("NFC", name)


class Given(NamedTuple):
    """A file as somebody gets it; from our disk, or from the storage itself."""

    status: int
    headers: Any
    content: bytes
    is_ours: bool


def follow(client, address):
    answer = client.get(address)
    if answer.status_code == 302:
        there = requests.get(answer.headers["Location"], timeout=60)
        return Given(there.status_code, there.headers, there.content, is_ours=False)
    content = b"".join(answer.streaming_content)
    return Given(answer.status_code, answer.headers, content, is_ours=True)


def assert_harmless(given, *, name, content, is_inline):
    """Check that a file is what was sent and that a browser can do nothing bad with it."""
    assert given.status == 200
    assert given.content == content
    kind = given.headers["Content-Type"]
    assert kind in SERVED_AS
    if kind in PICTURES:
        assert PICTURES[kind].match(content)
    found = DISPOSITION.fullmatch(given.headers["Content-Disposition"])
    assert found, given.headers["Content-Disposition"]
    assert (found["kind"] == "inline") == (is_inline and kind in (*PICTURES, TEXT))
    if found["quoted"] is not None:
        assert re.sub(r"\\(.)", r"\1", found["quoted"]) == name
    else:
        assert unquote(found["extended"], errors="strict") == name
    assert INJECTED not in given.headers
    assert not [value for value in given.headers.values() if set(value) & set("\r\n\0")]
    if given.is_ours:
        assert given.headers["X-Content-Type-Options"] == "nosniff"
        policy = given.headers["Content-Security-Policy"].split("; ")
        assert set(policy) == {"sandbox", "default-src 'none'"}
        assert int(given.headers["Content-Length"]) == len(content)


def display_address(client, note_url):
    """Return the path of the one signed link in a note as it is shown."""
    shown = client.get(f"{note_url}/display").json()["content"]
    found = re.fullmatch(r"!\[x\]\(http://testserver(/files/[\w:-]+)\)", shown)
    assert found, shown
    return found[1]


@pytest.fixture
def new_note_url(as_alice):
    """Return a function that makes a note."""

    def new_note_url():
        note = as_alice.post("/api/v1/notes", {"title": "With files"}, format="json").json()
        return f"/api/v1/notes/{note['id']}"

    return new_note_url


@pytest.fixture
def note_url(new_note_url):
    return new_note_url()


@pytest.fixture
def folder(settings, tmp_path):
    """Keep files in a new folder; return a function that tells which lie there."""
    path = tmp_path / "files"
    backend = {"BACKEND": "notes.folders.FolderStorage", "OPTIONS": {"location": str(path)}}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    return lambda: {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}


def assert_is_kept_harmless_or_refused(file, *, client, anonymous, note_url, stored_keys):
    """Post a file and look at it from everywhere; return what is told of it, None if refused."""
    answer = post(client, note_url, form(file.part()))
    if answer.status_code != 201:
        assert is_problem(answer), answer.content
        # Any bytes may be kept: what is refused is refused for its headers.
        assert file not in HOSTILE_CONTENTS
        assert client.get(note_url).json()["attachments"] == []
        assert stored_keys() == set(StoredObject.objects.values_list("key", flat=True))
        assert not StoredObject.objects.unused().exists()
        return None
    told = answer.json()
    name = told["name"]
    assert_name_is_harmless(name)
    assert told["content_type"] in SERVED_AS
    assert told["size"] == len(file.content)
    assert told["sha256"] == hashlib.sha256(file.content).hexdigest()
    path = f"{note_url}/attachments/{told['id']}"
    link = {"content": f"![x]({path}?inline=1)"}
    assert client.patch(note_url, link, format="json").status_code == 200
    assert client.get(note_url).json()["attachments"] == [told]
    assert client.get(f"{note_url}/attachments").json()["results"] == [told]
    kept = {"name": name, "content": file.content}
    assert_harmless(follow(client, path), **kept, is_inline=False)
    assert_harmless(follow(client, f"{path}?inline=1"), **kept, is_inline=True)
    shown = display_address(client, note_url)
    assert_harmless(follow(anonymous, shown), **kept, is_inline=True)
    return told


@ONCE
@pytest.mark.parametrize("file", [pytest.param(file, id=file.case) for file in FILES])
def test_a_file_is_kept_harmless_or_refused(as_alice, anonymous, note_url, folder, file):
    told = assert_is_kept_harmless_or_refused(
        file, client=as_alice, anonymous=anonymous, note_url=note_url, stored_keys=folder
    )
    feed = as_alice.get("/api/v1/sync")
    assert feed.status_code == 200
    if told:
        assert json.dumps(told["name"], ensure_ascii=False) in feed.content.decode()


@COMMITTED
@pytest.mark.parametrize("kind", ["name", "disposition", "type", "content"])
def test_files_are_kept_harmless_or_refused_in_a_bucket(
    as_alice, anonymous, new_note_url, bucket, s3, kind
):
    """As above, many at a time: a client of a bucket takes a while to be made.

    What is in a file matters little here: the headers are the bucket's, and what they say is ours.
    """
    files = [file for file in FILES if file.kind == kind] or HOSTILE_CONTENTS[::5]
    failed = {}
    for file in files:
        try:
            assert_is_kept_harmless_or_refused(
                file,
                client=as_alice,
                anonymous=anonymous,
                note_url=new_note_url(),
                stored_keys=lambda: s3.keys(bucket),
            )
        except AssertionError as error:
            failed[file.case] = str(error)
    assert failed == {}
    assert as_alice.get("/api/v1/sync").status_code == 200


@COMMITTED
def test_the_worker_survives_every_picture(as_alice, new_note_url, folder):
    pictures = [
        file
        for file in HOSTILE_CONTENTS
        if any(signature.match(file.content) for signature in PICTURES.values())
    ]
    for number, file in enumerate(pictures):
        if number % 20 == 0:
            note_url = new_note_url()
        assert post(as_alice, note_url, form(file.part())).status_code == 201
    kept = ("key", "state", "size", "sha256", "content_type", "width", "height", "owner")
    before = set(StoredObject.objects.values_list("pk", *kept))
    assert len(before) == len(pictures) > 80
    due = set(StoredObject.objects.exclude(thumbnails_due_at=None).values_list("pk", flat=True))
    made = 0
    while thumbnails.make_due():
        made += 1
    assert made == len(due)
    assert not StoredObject.objects.exclude(thumbnails_due_at=None).exists()
    shown = Thumbnail.objects.values_list("object", flat=True)
    assert set(StoredObject.objects.exclude(pk__in=shown).values_list("pk", *kept)) == before
    sources = set(Thumbnail.objects.values_list("source", flat=True))
    assert sources < due
    assert len(sources) > 20
    assert len(folder()) == StoredObject.objects.count()
    for note in Note.objects.all():
        for file in as_alice.get(f"/api/v1/notes/{note.pk}/attachments").json()["results"]:
            if file["thumbnail"] is None:
                continue
            answer = as_alice.get(urlsplit(file["thumbnail"]).path)
            if answer.status_code == 404:
                assert answer.json()["code"] == "no_thumbnail"
                continue
            assert answer.headers["Content-Type"] == "image/webp"
            assert PICTURES["image/webp"].match(b"".join(answer.streaming_content))


@ONCE
@pytest.mark.parametrize("case", NAMES)
def test_names_in_json_are_kept_harmless_or_refused(as_alice, note_url, folder, case):
    told = post(as_alice, note_url, form(part(b"x"))).json()
    path = f"{note_url}/attachments/{told['id']}"
    announced = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    for method, address, more in (
        ("PATCH", path, {}),
        ("POST", f"{note_url}/attachments/uploads", announced),
    ):
        # Surrogates go as escapes, as JSON may have them.
        body = json.dumps({"name": NAMES[case], **more})
        answer = as_alice.generic(method, address, body, content_type="application/json")
        if answer.status_code in (200, 201):
            assert_name_is_harmless(answer.json()["name"])
        else:
            assert is_problem(answer), answer.content
    (file,) = as_alice.get(f"{note_url}/attachments").json()["results"]
    given = follow(as_alice, path)
    assert_harmless(given, name=file["name"], content=b"x", is_inline=False)


class Form(NamedTuple):
    """A form, and the file in it that may be kept; none is to be kept if that is None."""

    body: bytes
    kept: bytes | None = b"first"
    parameters: str = f"boundary={BOUNDARY}"


def parts(*given: bytes, kept: bytes | None = b"first") -> Form:
    return Form(form(*given), kept)


def bounded(boundary: str, parameters: str, *, cut: bool = False) -> Form:
    """Return a form with this boundary in it and these parameters of its type."""
    body = form(part(b"first"), boundary=boundary)
    return Form(body[: -len("--\r\n")] if cut else body, None if cut else b"first", parameters)


FIRST = part(b"first")
WHOLE = form(FIRST)
INNER = form(part(b"inside"), boundary="inner")
MARK = b"--" + BOUNDARY.encode()
OTHERS = [part(b"x", field=f"field{number}") for number in range(1000)]

FORMS = {
    "two files": parts(FIRST, part(b"second", name="b.bin")),
    "1,000 files": parts(FIRST, *[part(b"x")] * 1000),
    "1,000 files in other fields": parts(FIRST, *OTHERS),
    "1,000 files in front": parts(*OTHERS, FIRST),
    "1,000 fields": parts(FIRST, *[part(b"x", field="a", name=None)] * 1000),
    "1,000 fields in front": parts(*[part(b"x", field="a", name=None)] * 1000, FIRST),
    "1,000 parts of nothing": parts(FIRST, *[b"\r\nx"] * 1000),
    "1,000 empty parts": parts(FIRST, *[b""] * 1000),
    "another field": parts(part(b"other", field="other"), kept=None),
    "another field in front": parts(part(b"other", field="other"), FIRST),
    "a field that is called file": parts(part(b"text", name=None), kept=None),
    "a file and a field that is called file": parts(FIRST, part(b"text", name=None)),
    "a field that is called file and a file": parts(part(b"text", name=None), FIRST),
    "field of 20 MB": parts(FIRST, part(b"x" * 20_000_000, name=None), kept=None),
    "nested": parts(
        b'Content-Disposition: form-data; name="file"\r\n'
        b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n" + INNER,
        kept=None,
    ),
    "nested, as a file": parts(
        part(INNER, "Content-Type: multipart/mixed; boundary=inner"), kept=INNER
    ),
    "bad base64": parts(part(b"x*~\xff" * 9, "Content-Transfer-Encoding: base64"), kept=None),
    "cut base64": parts(part(b"Zmlyc3Q", "Content-Transfer-Encoding: base64"), kept=None),
    "base64": parts(part(b"Zmly\r\nc3Q=", "Content-Transfer-Encoding: base64")),
    "base64 with other letters": parts(
        part(b"Zm*ly**c3*Q=***", "Content-Transfer-Encoding: base64"), kept=None
    ),
    "quoted-printable": parts(part(b"first", "Content-Transfer-Encoding: quoted-printable")),
    "unknown transfer encoding": parts(part(b"first", "Content-Transfer-Encoding: bogus")),
    "header of 100 KB": parts(part(b"first", f"X-Long: {'x' * 100_000}")),
    "1,000 headers": parts(part(b"first", *[f"X-{number}: 1" for number in range(1000)])),
    "name of 100 KB": parts(part(b"first", name="x" * 100_000)),
    "field of 100 KB": parts(part(b"first", field="x" * 100_000), kept=None),
    "header without a colon": parts(part(b"first", "nonsense")),
    "length in its headers": parts(part(b"first", "Content-Length: 99999999999999999999")),
    "length of 5,000 digits in its headers": parts(part(b"first", f"Content-Length: {'9' * 900}")),
    "negative length in its headers": parts(part(b"first", "Content-Length: -1")),
    "no headers": parts(b"\r\nfirst", kept=None),
    "no end of its headers": parts(FIRST.partition(b"\r\n")[0], kept=None),
    "only LF": parts(FIRST.replace(b"\r\n", b"\n"), kept=None),
    "no name": parts(part(b"first", name="").replace(b'"file"', b'"file"; filename=""'), kept=None),
    "two dispositions": parts(part(b"first", 'Content-Disposition: form-data; name="file"')),
    "charset": parts(part(b"utf-7", field="_charset_", name=None), FIRST),
    "unknown charset": parts(part(b"bogus", field="_charset_", name=None), FIRST),
    "no parts": parts(kept=None),
    "no boundary at its end": Form(WHOLE[: -len(MARK + b"--\r\n")], None),
    "half a boundary at its end": Form(WHOLE[: -len("00--\r\n")], None),
    "no last boundary": Form(WHOLE[: -len("--\r\n")], None),
    "half a last boundary": Form(WHOLE[: -len("-\r\n")], None),
    "no line end": Form(WHOLE[: -len("\r\n")]),
    "boundary that never comes": Form(WHOLE, None, "boundary=other"),
    "no boundary": Form(WHOLE, None, ""),
    "empty boundary": Form(form(FIRST, boundary=""), None, "boundary="),
    "boundary of 70 letters": bounded("x" * 70, f"boundary={'x' * 70}"),
    "boundary of 2,000 letters": bounded("x" * 2000, f"boundary={'x' * 2000}"),
    "boundary with a semicolon": bounded("a;b", 'boundary="a;b"'),
    "boundary with a space": bounded("a b", 'boundary="a b"'),
    "boundary of dashes": bounded("----", "boundary=----"),
    "boundary in capitals": bounded(BOUNDARY, f"BOUNDARY={BOUNDARY}"),
    "boundary in capitals, cut": bounded("----x", "BOUNDARY=----x", cut=True),
    "two boundaries": bounded(BOUNDARY, f"boundary=other; boundary={BOUNDARY}"),
    "boundary inside a parameter, cut": Form(
        form(part(b"a--first--"))[: -len("--\r\n")],
        None,
        f'x="boundary=first"; boundary={BOUNDARY}',
    ),
    "extended boundary": bounded(BOUNDARY, f"boundary*=utf-8''{BOUNDARY}"),
    "extended boundary, unknown charset": bounded("A", "boundary*=bogus''%41"),
    "text in front": Form(b"text\r\n" + WHOLE),
    "text behind": Form(WHOLE + b"x" * 100),
    "much text behind": Form(WHOLE + b"x" * 5000),
    "another form behind": Form(WHOLE + form(part(b"second"))),
    "empty": Form(b"", None),
    "only NULs": Form(bytes(10_000), None),
}


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


class Sent(NamedTuple):
    """What is sent after the usual headers, and the file that may be kept."""

    headers: tuple[str, ...]
    body: bytes = WHOLE
    kept: bytes | None = None
    is_closed: bool = False  # by the client, as soon as it is sent


def length(said: object, **more: Any) -> Sent:
    return Sent((f"Content-Length: {said}",), **more)


CHUNKED = "Transfer-Encoding: chunked"
LENGTH = f"Content-Length: {len(WHOLE)}"
# As large as a file may be here; its form does not come whole before it is looked at.
LARGE = form(part(b"x" * 8 * 2**20))
CUT_BASE64 = form(part(b"Zmly" * 2_200_000 + b"Z", "Content-Transfer-Encoding: base64"))

SENT = {
    "length that is right": length(len(WHOLE), kept=b"first"),
    "length too large": length(len(WHOLE) + 1000, is_closed=True),
    "length too large, by the line end": length(len(WHOLE) + 2, is_closed=True),
    "length too small": length(len(WHOLE) - 30),
    "length too small by the line end": length(len(WHOLE) - 2, kept=b"first"),
    "length of 0": length(0),
    "negative length": length(-1),
    "negative length, closed": length(-len(WHOLE), is_closed=True),
    "length with a sign": length(f"+{len(WHOLE)}", kept=b"first"),
    "length in hex": length(hex(len(WHOLE))),
    "length that is no number": length("x"),
    "empty length": length(""),
    "length of two words": length("1 2"),
    "length of 5,000 digits": length("9" * 5000),
    "length of 2**63": length(2**63),
    "length in other digits": length("\u0661\u0662"),
    "two lengths that differ": Sent((LENGTH, "Content-Length: 3")),
    "two lengths that agree": Sent((LENGTH, LENGTH), kept=b"first"),
    "list of lengths": length(f"{len(WHOLE)}, {len(WHOLE)}", kept=b"first"),
    "no length": Sent(()),
    "chunked": Sent((CHUNKED,), chunked(WHOLE), kept=b"first"),
    "chunk of a bad size": Sent((CHUNKED,), b"xyz\r\n" + WHOLE + b"\r\n0\r\n\r\n"),
    "chunk of a negative size": Sent((CHUNKED,), b"-5\r\n" + WHOLE + b"\r\n0\r\n\r\n"),
    "chunk of a huge size": Sent((CHUNKED,), b"f" * 30 + b"\r\n" + WHOLE + b"\r\n0\r\n\r\n"),
    "chunk longer than its size": Sent((CHUNKED,), b"5\r\n" + WHOLE + b"\r\n0\r\n\r\n"),
    "chunk shorter than its size": Sent((CHUNKED,), b"ffff\r\n" + WHOLE, is_closed=True),
    "chunk that is good and one that is bad": Sent(
        (CHUNKED,), b"%x\r\n%s\r\nzz\r\n\r\n" % (len(WHOLE), WHOLE)
    ),
    "no last chunk": Sent((CHUNKED,), chunked(WHOLE)[:-5], is_closed=True),
    "chunk with much said of it": Sent(
        (CHUNKED,), chunked(WHOLE).replace(b"\r\n", b";" + b"x" * 100_000 + b"\r\n", 1),
        kept=b"first",
    ),
    "chunked, and a length": Sent((CHUNKED, "Content-Length: 5"), chunked(WHOLE), kept=b"first"),
    "chunked twice": Sent((f"{CHUNKED}, chunked",), chunked(chunked(WHOLE))),
    "chunked, not at last": Sent((f"{CHUNKED}, gzip",), chunked(WHOLE)),
    "unknown transfer encoding": Sent(("Transfer-Encoding: bogus", LENGTH)),
    "packed": Sent(("Content-Encoding: gzip", LENGTH), kept=b"first"),
    "waited for": Sent(("Expect: 100-continue", LENGTH), kept=b"first"),
    "expected otherwise": Sent(("Expect: 200-ok", LENGTH), kept=b"first"),
    "upgraded": Sent(("Connection: Upgrade", "Upgrade: h2c", LENGTH)),
    "header of 100 KB": Sent((LENGTH, f"X-Long: {'x' * 100_000}"), kept=b"first"),
    "header with NUL": Sent((LENGTH, "X-Nul: \0")),
    "folded header": Sent((LENGTH, "X-Folded: a\r\n b"), kept=b"first"),
    "large": length(len(LARGE), body=LARGE, kept=b"x" * 8 * 2**20),
    "large, cut": length(len(LARGE), body=LARGE[: 4 * 2**20], is_closed=True),
    "large, cut in its last boundary": length(len(LARGE), body=LARGE[:-5], is_closed=True),
    "large, and a length too large": length(len(LARGE) + 9, body=LARGE, is_closed=True),
    "large, and a length too small": length(len(LARGE) - 9, body=LARGE),
    "large, without its last boundary": length(len(LARGE) - 4, body=LARGE[:-4]),
    "large, with cut base64": length(len(CUT_BASE64), body=CUT_BASE64),
    "too large": length(len(LARGE) + 1, body=form(part(b"x" * (8 * 2**20 + 1)))),
    "too large by far": length(10**12, body=LARGE[:1000]),
    "too large, chunked": Sent((CHUNKED,), chunked(form(part(b"x" * 10 * 2**20)))),
}  # fmt: skip

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
        told = listed.json()["results"]
        given = [
            self.session.get(f"{self.note_url}/attachments/{file['id']}", timeout=60)
            for file in told
        ]
        digests = [hashlib.sha256(answer.content).hexdigest() for answer in given]
        assert digests == [file["sha256"] for file in told]
        return [answer.content for answer in given]

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


@pytest.fixture(scope="module")
def sender(disk_server):
    return Sender(disk_server)


class TestForms:
    """Forms at a running server, byte by byte."""

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, sender):
        before = sender.left()
        sender.begin()
        yield
        until = time.monotonic() + 3
        while sender.left() - before and time.monotonic() < until:
            time.sleep(0.05)
        assert sender.left() <= before
        assert requests.get(f"{sender.server.url}/health/ready", timeout=60).status_code == 200

    @pytest.mark.parametrize("case", FORMS)
    def test_a_form_is_kept_whole_or_refused(self, sender, case):
        body, kept, parameters = FORMS[case]
        answer = sender.send(length(len(body), body=body), parameters=parameters)
        assert answer is not None
        sender.check(answer, kept)

    @pytest.mark.parametrize("case", SENT)
    def test_what_is_sent_is_kept_whole_or_refused(self, sender, case):
        sender.check(sender.send(SENT[case]), SENT[case].kept)

    @pytest.mark.parametrize("case", SENT)
    def test_a_file_stays_when_its_replacement_fails(self, sender, case):
        whole = length(len(WHOLE), body=WHOLE.replace(b"first", b"older"))
        assert sender.send(whole)[0] == 201
        (told,) = sender.session.get(f"{sender.note_url}/attachments").json()["results"]
        sender.send(SENT[case], path=f"attachments/{told['id']}", method="PUT")
        assert sender.files() in ([b"older"], [SENT[case].kept])


def announced(content: bytes, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": "a.bin", "size": len(content), "sha256": digest, **changes}


RIGHT = b"right " * 200
WRONG = b"wrong " * 200


@COMMITTED
class TestUploads:
    """Uploads that clients bring to the storage themselves, and what they may try there."""

    @pytest.fixture
    def upload(self, as_alice, note_url, stored_keys):
        """Announce ``RIGHT``."""
        answer = as_alice.post(f"{note_url}/attachments/uploads", announced(RIGHT), format="json")
        assert answer.status_code == 201
        return answer.json()

    @pytest.fixture
    def complete(self, as_alice, note_url, upload):
        """Return a function that says that the upload is there."""
        path = f"{note_url}/attachments/uploads/{upload['id']}/complete"

        def complete():
            answer = as_alice.post(path)
            assert answer.status_code == 200 or is_problem(answer), answer.content
            return answer

        return complete

    @pytest.fixture
    def send(self, anonymous, upload):
        """Return a function that sends bytes to the upload's address, without a token."""

        def send(content, *, url=upload["url"], method="PUT", **changed):
            headers = {**upload["headers"], **changed}
            if url.startswith("http://testserver/"):
                kind = headers.pop("Content-Type", "")
                path = url.removeprefix("http://testserver")
                answer = anonymous.generic(
                    method, path, content, content_type=kind, headers=headers
                )
                assert answer.status_code == 200 or is_problem(answer), answer.content
                return answer.status_code
            return requests.request(
                method, url, data=content, headers=headers, timeout=60
            ).status_code

        return send

    @pytest.fixture
    def files(self, as_alice, note_url):
        """Return a function that fetches the contents of the note's files."""

        def files():
            told = as_alice.get(f"{note_url}/attachments").json()["results"]
            given = [follow(as_alice, f"{note_url}/attachments/{file['id']}") for file in told]
            for file, answer in zip(told, given, strict=True):
                kept = {"name": file["name"], "content": answer.content}
                assert_harmless(answer, **kept, is_inline=False)
                assert file["content_type"] == answer.headers["Content-Type"]
                assert file["sha256"] == hashlib.sha256(answer.content).hexdigest()
            return [answer.content for answer in given]

        return files

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, as_alice, note_url, upload, stored_keys):
        """Check that nothing counts that is no file, whenever the worker runs."""
        yield
        assert not StoredObject.objects.unused().filter(state="ready").exists()
        objects.sweep(now=timezone.now() + dt.timedelta(hours=2))
        ready = StoredObject.objects.filter(state="ready")
        assert set(ready.values_list("key", flat=True)) <= stored_keys()
        assert as_alice.get("/api/v1/sync").status_code == 200

    @pytest.mark.parametrize("content", [WRONG, RIGHT + b"x", RIGHT[:-1], b"", RIGHT * 1000])
    def test_other_bytes_than_announced(self, send, complete, files, content):
        send(content)
        answer = complete()
        assert (answer.status_code, answer.json()["code"]) in (
            (409, "upload_incomplete"), (422, "checksum_mismatch")
        )  # fmt: skip
        assert files() == []
        # Whether it may be sent again or has failed for good: nothing else than this ever counts.
        send(RIGHT)
        is_done = complete().status_code == 200
        assert files() == ([RIGHT] if is_done else [])

    @pytest.mark.parametrize(
        "changed",
        [
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
        ],
        ids=str,
    )
    def test_other_headers_than_told(self, send, complete, files, changed):
        status = send(RIGHT, **changed)
        assert status < 500
        is_done = complete().status_code == 200
        assert not is_done or status == 200  # the store may take what is refused then
        assert files() == ([RIGHT] if is_done else [])

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])
    def test_other_methods(self, send, complete, files, anonymous, upload, method):
        assert send(RIGHT) == 200
        if upload["url"].startswith("http://testserver/"):
            path = upload["url"].removeprefix("http://testserver")
            assert anonymous.generic(method, path, WRONG).status_code == 405
        elif method != "OPTIONS":  # which asks for no object
            assert send(WRONG, method=method) in (400, 403)
        assert complete().status_code == 200
        assert files() == [RIGHT]

    def test_an_address_that_was_changed(self, send, complete, files, upload):
        url = upload["url"]
        start = url.index("/", len("https://"))
        others = [url + "x", url[:-2], f"{url}%00", f"{url}/", url + "x" * 9000]
        if url.startswith("http://testserver/"):
            others.append(f"{url}%0d%0a")  # which rclone takes off
        for at in (*range(start + 1, len(url), 7), len(url) - 1):
            others.append(url[:at] + ("A" if url[at] != "A" else "B") + url[at + 1 :])
        for other in others:
            assert send(WRONG, url=other) >= 400, other
        assert files() == []
        assert complete().json()["code"] == "upload_incomplete"
        assert send(RIGHT) == 200
        assert complete().status_code == 200
        assert files() == [RIGHT]

    def test_an_address_that_is_for_something_else(
        self, as_alice, anonymous, note_url, upload, send, complete, files
    ):
        """A link to be shown takes nothing, and one to send to shows nothing."""
        assert send(RIGHT) == 200
        file = complete().json()["attachment"]
        link = {"content": f"![x]({note_url}/attachments/{file['id']})"}
        assert as_alice.patch(note_url, link, format="json").status_code == 200
        shown = display_address(as_alice, note_url)
        kind = OCTETS
        taken = anonymous.put(shown.replace("/files/", "/uploads/"), WRONG, content_type=kind)
        assert taken.status_code == 404
        assert anonymous.put(shown, WRONG, content_type=kind).status_code == 405
        if upload["url"].startswith("http://testserver/"):
            path = upload["url"].removeprefix("http://testserver")
            assert anonymous.get(path.replace("/uploads/", "/files/")).status_code == 404
            assert anonymous.get(path).status_code == 405
        else:
            assert requests.get(upload["url"], timeout=60).status_code == 403
        assert files() == [RIGHT]

    def test_complete_before_anything_is_sent(self, send, complete, files):
        for _ in range(2):
            answer = complete()
            assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
        assert files() == []
        assert send(RIGHT) == 200
        assert complete().status_code == 200
        assert files() == [RIGHT]

    def test_complete_twice(self, as_alice, note_url, send, complete, files):
        assert send(RIGHT) == 200
        first = complete()
        version = as_alice.get(note_url).json()["version"]
        assert [complete().json() for _ in range(3)] == [first.json()] * 3
        assert as_alice.get(note_url).json()["version"] == version
        assert files() == [RIGHT]

    @pytest.mark.parametrize("content", [WRONG, RIGHT + b"x", b"", RIGHT], ids=len)
    def test_what_is_sent_after_completion_changes_nothing(
        self, as_alice, note_url, upload, send, complete, files, content
    ):
        assert send(RIGHT) == 200
        assert complete().status_code == 200
        send(content)
        assert files() == [RIGHT]
        assert complete().status_code == 200
        state = as_alice.get(f"{note_url}/attachments/uploads/{upload['id']}").json()
        assert (state["state"], state["url"]) == ("done", None)
        objects.sweep(now=timezone.now() + dt.timedelta(days=2))
        assert files() == [RIGHT]

    @pytest.mark.parametrize("content", [WRONG, RIGHT + b"x", b""], ids=len)
    def test_what_is_sent_while_it_is_completed_changes_nothing(
        self, send, complete, files, monkeypatch, content
    ):
        copy = storage.copy

        def copied(*args):
            copy(*args)
            send(content)

        monkeypatch.setattr(storage, "copy", copied)
        assert send(RIGHT) == 200
        assert complete().status_code == 200
        assert files() == [RIGHT]

    def test_what_is_sent_after_it_was_given_up_counts_for_nothing(
        self, as_alice, note_url, upload, send, complete, files
    ):
        path = f"{note_url}/attachments/uploads/{upload['id']}"
        assert as_alice.delete(path).status_code == 204
        send(RIGHT)
        assert complete().status_code == 404
        assert as_alice.get(path).status_code == 404
        assert files() == []
        assert not Upload.objects.exists()

    def test_pages_that_are_announced_as_pictures(
        self, as_alice, note_url, send, files, stored_keys
    ):
        for content, kind in ((PAGE, TEXT), (SVG, TEXT), (b"\0" + PAGE, OCTETS),
                              (WHOLE_PNG + PAGE, "image/png")):  # fmt: skip
            body = announced(content, name="a.png", content_type="text/html")
            upload = as_alice.post(f"{note_url}/attachments/uploads", body, format="json").json()
            headers = {"Content-Type": "text/html"} if "testserver" in upload["url"] else {}
            sent = upload["headers"] | headers
            assert send(content, url=upload["url"], **sent) == 200
            path = f"{note_url}/attachments/uploads/{upload['id']}/complete"
            file = as_alice.post(path).json()["attachment"]
            assert file["content_type"] == kind
            address = f"{note_url}/attachments/{file['id']}?inline=1"
            kept = {"name": "a.png", "content": content}
            assert_harmless(follow(as_alice, address), **kept, is_inline=True)


@ONCE
class TestAnnouncements:
    @pytest.mark.parametrize(
        "size",
        [-1, -(2**63), 2**53, 2**53 + 1, 2**63, 10**30, 10**4000, 1.5, 1e300, "x", "1e3", "", " ",
         "0x10", "-0", "\u0661\u0662", "\u00b2", "1_000", "5\n", "5\0", True, None, [], [5], {}],
        ids=lambda size: repr(size)[:20],
    )  # fmt: skip
    def test_size(self, as_alice, note_url, folder, size):
        self.announce(as_alice, note_url, announced(b"right", size=size))

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, "05"])
    def test_size_that_is_no_json(self, as_alice, note_url, folder, text):
        body = json.dumps(announced(b"right", size=0)).replace('"size": 0', f'"size": {text}')
        self.announce(as_alice, note_url, body)

    @pytest.mark.parametrize(
        "sha256",
        ["", "x", "0" * 63, "0" * 65, "0" * 64 + "\n", "\n" + "0" * 64, " " + "0" * 63, "A" * 64,
         "g" * 64, "0x" + "0" * 62, "\u0660" * 64, "\uff10" * 64, "0" * 63 + "\0", "\ud800" * 64,
         "0" * 100_000, 0, 1.5, True, None, [], ["0" * 64], {}],
        ids=lambda sha256: repr(sha256)[:20],
    )  # fmt: skip
    def test_checksum(self, as_alice, note_url, folder, sha256):
        body = announced(b"right", sha256=sha256)
        answer = self.announce(as_alice, note_url, body)
        assert answer.status_code == 400

    @pytest.mark.parametrize("missing", ["name", "size", "sha256"])
    def test_something_is_missing(self, as_alice, note_url, folder, missing):
        body = announced(b"right")
        del body[missing]
        assert self.announce(as_alice, note_url, body).status_code == 400

    @pytest.mark.parametrize("body", ["", "[]", "null", "1", '"x"', "{", "[" * 100_000, "\0"])
    def test_no_announcement(self, as_alice, note_url, folder, body):
        assert self.announce(as_alice, note_url, body).status_code == 400

    def announce(self, as_alice, note_url, body):
        """Announce a file; what is taken is taken as a number of bytes that a file may have."""
        text = body if isinstance(body, str) else json.dumps(body)
        path = f"{note_url}/attachments/uploads"
        answer = as_alice.post(path, text, content_type="application/json")
        if answer.status_code == 201:
            told = answer.json()
            assert type(told["size"]) is int
            assert 0 <= told["size"] <= 8 * 2**20
            assert re.fullmatch("[0-9a-f]{64}", told["sha256"], re.ASCII)
            row = StoredObject.objects.get()
            assert (row.state, row.size, row.sha256) == ("pending", told["size"], told["sha256"])
        else:
            assert is_problem(answer), answer.content
            assert not StoredObject.objects.exists()
            assert not Upload.objects.exists()
        assert as_alice.get(note_url).json()["attachments"] == []
        return answer
