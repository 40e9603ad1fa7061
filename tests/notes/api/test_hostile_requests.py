"""Requests at a running server whose lengths and headers are wrong: kept whole or refused."""

import pytest

from tests.cases import failures
from tests.notes.api.harmless import form, part
from tests.notes.api.sender import WHOLE, Sender, Sent, length


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


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


@pytest.fixture(scope="module")
def sender(file_server):
    return Sender(file_server)


def test_what_is_sent_is_kept_whole_or_refused(sender):
    def check(sent):
        with sender.new_note():
            sender.check(sender.send(sent), sent.kept)

    assert failures(SENT, check) == {}


def test_a_file_stays_when_its_replacement_fails(sender):
    whole = length(len(WHOLE), body=WHOLE.replace(b"first", b"older"))

    def check(sent):
        with sender.new_note():
            assert sender.send(whole)[0] == 201
            (file,) = sender.session.get(f"{sender.note_url}/attachments").json()["results"]
            sender.send(sent, path=f"attachments/{file['id']}", method="PUT")
            assert sender.files() in ([b"older"], [sent.kept])

    assert failures(SENT, check) == {}
