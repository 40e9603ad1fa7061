"""Patterns of the parts of Markdown, by CommonMark 0.31 (section numbers in brackets).

Every pattern takes time in proportion to the text it reads: the quantifiers are possessive.
"""

import re

SPACE = r"[ \t\n]"

# Lines of blocks. All but LINE match lines whose tabs are expanded.
LINE = re.compile(r"([^\r\n]*+)(?:\r\n?|\n|\Z)")
SPACES = re.compile(" *+")
FENCE = re.compile(r"`{3,}+(?=[^`]*+\Z)|~{3,}+")  # 4.5
HEADING = re.compile(r"#{1,6}(?: |\Z)")  # 4.2
UNDERLINE = re.compile(r"(?:=++|-++) *+\Z")  # 4.3
MARKER = re.compile(r"(?:[-+*]|([0-9]{1,9})[.)])(?= |\Z)")  # 5.2

# HTML (6.6). Attributes are matched one by one: see ``notes.markdown.inline``.
ATTRIBUTE = re.compile(
    rf"{SPACE}++[a-zA-Z_:][\w:.-]*+"
    rf"(?:{SPACE}*+={SPACE}*+(?:[^\x00-\x20\"'=<>`]++|'[^']*+'|\"[^\"]*+\"))?+",
    re.ASCII,
)
TAG_NAME = re.compile(r"<[a-zA-Z][a-zA-Z0-9-]*+")
TAG_END = re.compile(rf"{SPACE}*+/?>")
CLOSING_TAG = re.compile(rf"</[a-zA-Z][a-zA-Z0-9-]*+{SPACE}*+>")

# HTML blocks (4.6): the patterns of the begin and the end; None if an empty line ends the block.
_TEXT_TAGS = "script|pre|style|textarea"
_BLOCK_TAGS = (
    "address article aside base basefont blockquote body caption center col colgroup dd details "
    "dialog dir div dl dt fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 "
    "head header hr html iframe legend li link main menu menuitem nav noframes ol optgroup option "
    "p param search section summary table tbody td tfoot th thead title tr track ul"
).replace(" ", "|")
HTML_BLOCKS = (
    (
        re.compile(rf"<(?:{_TEXT_TAGS})(?=[\s>]|\Z)", re.ASCII | re.IGNORECASE),
        re.compile(rf"</(?:{_TEXT_TAGS})>", re.ASCII | re.IGNORECASE),
    ),
    (re.compile("<!--"), re.compile("-->")),
    (re.compile(r"<\?"), re.compile(r"\?>")),
    (re.compile("<![a-zA-Z]"), re.compile(">")),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile(rf"</?(?:{_BLOCK_TAGS})(?=\s|/?>|\Z)", re.ASCII | re.IGNORECASE), None),
)
HTML_TAG_LINE = re.compile(
    rf"(?:{TAG_NAME.pattern}(?:{ATTRIBUTE.pattern})*+{TAG_END.pattern}|{CLOSING_TAG.pattern})"
    r"\s*+\Z",
    re.ASCII,
)

# Inline content.
SPECIAL = re.compile(r"\\[!-/:-@\[-`{-~]|`++|<|!?\[|\]")
BACKTICKS = re.compile("`++")
AUTOLINK = re.compile(
    r"<(?:[a-zA-Z][a-zA-Z0-9+.-]{1,31}+:[^<>\x00-\x20]*+"
    r"|[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]++@[a-zA-Z0-9](?:[a-zA-Z0-9.-]*+))>"
)  # 6.5

# Links (6.3) and link reference definitions (4.7).
BRACKETED_DESTINATION = re.compile(r"<(?:[^<>\\\n]|\\.)*+>")
TITLE = re.compile(
    r"\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\)",
    re.DOTALL,
)
BLANKS = re.compile(rf"{SPACE}*+")
LABEL = re.compile(r"\[(?=\s*+[^\s\]])(?:[^\[\]\\]|\\.){1,999}+\]:", re.DOTALL)
LINE_END = re.compile(r"[ \t]*+(?:\n|\Z)")
_IN_DESTINATION = re.compile(r"(?:\\[!-/:-@\[-`{-~]|[^\x00-\x20\x7f()])++|[()]")
_MAX_PARENTHESES = 8  # nested; the specification requires three


def after_destination(text: str, position: int) -> int:
    """Return the end of the link destination that begins at a position, -1 if there is none."""
    if text.startswith("<", position):
        bracketed = BRACKETED_DESTINATION.match(text, position)
        return bracketed.end() if bracketed else -1
    depth, end = 0, position
    while part := _IN_DESTINATION.match(text, end):
        if part[0] == "(":
            depth += 1
            if depth > _MAX_PARENTHESES:
                return -1
        elif part[0] == ")":
            if not depth:
                break
            depth -= 1
        end = part.end()
    return end if end > position and not depth else -1


def after_definitions(text: str) -> int:
    """Return the end of the link reference definitions at the beginning of a paragraph."""
    position = 0
    while label := LABEL.match(text, position):
        end = _after_definition(text, label.end())
        if end < 0:
            break
        position = end
    return position


def _after_definition(text: str, position: int) -> int:
    """Return the end of the last line of a definition whose label ends at a position, or -1."""
    end = after_destination(text, _after_blanks(text, position))
    if end < 0:
        return -1
    begin = _after_blanks(text, end)
    title = TITLE.match(text, begin) if begin > end else None
    if title and (line_end := LINE_END.match(text, title.end())):
        return line_end.end()
    line_end = LINE_END.match(text, end)
    return line_end.end() if line_end else -1


def _after_blanks(text: str, position: int) -> int:
    blanks = BLANKS.match(text, position)
    assert blanks, "no blanks are blanks too"
    return blanks.end()
