"""Forms as hostile clients send them, and what makes an answer and a file harmless."""

import re
import unicodedata
from typing import Any, NamedTuple
from urllib.parse import unquote

import requests

from tests.notes.api.hostile_files import INJECTED

TEXT, OCTETS = "text/plain; charset=utf-8", "application/octet-stream"
PICTURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
# What a browser plays, or shows if it can; none of it can run scripts.
MEDIA = {
    "image/avif", "image/heic", "image/heif", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/flac",
    "audio/wav", "video/mp4", "video/quicktime", "video/webm",
}  # fmt: skip
SERVED_AS = {*PICTURES, *MEDIA, "application/pdf", TEXT, OCTETS}
# RFC 6266: one name, quoted or extended, and nothing else.
DISPOSITION = re.compile(
    r"(?P<kind>attachment|inline)"
    r"(?:; filename=\"(?P<quoted>(?:[^\"\\\x00-\x1f\x7f-\uffff]|\\[\"\\])*)\""
    r"|; filename\*=utf-8''(?P<extended>(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+))"
)
BOUNDARY = "3f8a61c0d94b4e7fa2"

# Embeddings, overrides and isolates.
BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


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
    assert not {unicodedata.category(c) for c in name} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(c) for c in name} & BIDI_CONTROLS
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
    assert (found["kind"] == "inline") == (is_inline and kind in (*PICTURES, *MEDIA, TEXT))
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


def displayed(client, note_url):
    """Return the paths of the signed links in a note as it is shown: one in each line."""
    shown = client.get(f"{note_url}/display").json()["content"]
    links = [
        re.fullmatch(r"!\[x\]\(http://testserver(/files/[\w:-]+)(?:\?inline=1)?\)", line)
        for line in shown.splitlines()
    ]
    assert all(links), shown
    return [link[1] for link in links]
