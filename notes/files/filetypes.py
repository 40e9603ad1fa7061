"""Names and types of files, whatever the client says about them. No ORM, no HTTP."""

import re
import unicodedata

import regex

UNKNOWN_TYPE = "application/octet-stream"
TEXT_TYPE = "text/plain; charset=utf-8"
NAME_BYTES = 255
# Controls, the line ends of Unicode, and what has the text beside it read in another direction.
_REMOVED = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]")
_SEEN = regex.compile(r"[^\p{White_Space}\p{Default_Ignorable_Code_Point}.]")
# First bytes of the types that files may be served as; everything else is octets. A file of the ISO
# base media format (ISO/IEC 14496-12, 4.3) names its brand.
SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb"....ftyphe(?:i[cxms]|v[cx])", re.DOTALL), "image/heic"),
    (re.compile(rb"....ftypm[is]f1", re.DOTALL), "image/heif"),
    (re.compile(rb"....ftypM4[AB] ", re.DOTALL), "audio/mp4"),
    (re.compile(rb"....ftypqt  ", re.DOTALL), "video/quicktime"),
    (re.compile(rb"....ftyp(?:iso[m2-9]|mp4[12]|avc1|M4V |dash)", re.DOTALL), "video/mp4"),
    (re.compile(rb"\x1aE\xdf\xa3.{,60}?webm", re.DOTALL), "video/webm"),
    (re.compile(rb"ID3[\x02-\x04]|\xff\xfb[\x10-\xef]"), "audio/mpeg"),
    (re.compile(rb"OggS.{22,60}?(?:OpusHead|\x01vorbis|\x7fFLAC)", re.DOTALL), "audio/ogg"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
)
# Pictures that have dimensions and thumbnails.
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
# Types that a browser may display in the page: none of them can run scripts.
INLINE_TYPES = (
    *(kind for _, kind in SIGNATURES if kind != "application/pdf"),
    TEXT_TYPE,
)
SAMPLE_BYTES = 4096


def clean_name(name: str) -> str:
    """Return a safe file name: the last part of a path, NFC, at most 255 bytes of UTF-8.

    Removes controls, bidi embeddings, overrides and isolates, unpaired surrogates, and blanks
    (U+0020) at the ends; all other characters stay. A name of which nothing is seen becomes
    ``file``. Shortening keeps the extension.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    # Removed first: the characters on both sides may compose to one then.
    text = unicodedata.normalize("NFC", _REMOVED.sub("", last)).strip(" ")
    if not _SEEN.search(text):
        return "file"
    if len(text.encode()) <= NAME_BYTES:
        return text
    stem, dot, ending = text.rpartition(".")
    ending = (dot + ending)[:20] if stem else ""
    room = NAME_BYTES - len(ending.encode())
    return (stem or text).encode()[:room].decode(errors="ignore") + ending


def content_type_of(start: bytes) -> str:
    """Return the type that a file's first bytes prove, from a short list; else octets.

    The type that the client sends is ignored, because the type decides how browsers treat the file.
    """
    start = start[:SAMPLE_BYTES]
    for signature, content_type in SIGNATURES:
        if signature.match(start):
            return content_type
    if b"\0" in start:
        return UNKNOWN_TYPE
    try:
        # The sample may end inside a character: of at most 4 bytes, 3 may be missing.
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(start) or len(start) - error.start > 3 or len(start) < SAMPLE_BYTES:
            return UNKNOWN_TYPE
    return TEXT_TYPE
