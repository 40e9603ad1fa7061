"""Hostile forms at a running server: each is kept whole or refused."""

from typing import NamedTuple

import pytest

from tests.cases import failures
from tests.notes.api.harmless import BOUNDARY, form, part
from tests.notes.api.sender import FIRST, WHOLE, Sender, length


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


@pytest.fixture(scope="module")
def sender(file_server):
    return Sender(file_server)


def test_forms_are_kept_whole_or_refused(sender):
    def check(sent):
        body, kept, parameters = sent
        with sender.new_note():
            answer = sender.send(length(len(body), body=body), parameters=parameters)
            assert answer is not None
            sender.check(answer, kept)

    assert failures(FORMS, check) == {}
