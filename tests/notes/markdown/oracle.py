"""What markdown-it makes of a text: the oracle of our own scanner."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from notes.markdown.inline import MAX_WIKILINK

CHECKBOX = re.compile(r"\[[ xX]\][ \t]+(\S+)")

# Where markdown-it 4.3.0 itself leaves CommonMark 0.31, each with what it does there:
DEVIATIONS = re.compile(
    r"--->"  # it does not end a comment with three dashes (6.6)
    r"|>.*\t"  # it counts the columns of tabs in nested quotes anew (2.2)
    r"|\\[\r\n]"  # a backslash lets the destination of a link run over the end of its line (6.3)
    # A line four columns in may interrupt a paragraph, if its list item takes more than four (4.4).
    r"|(?m:^(?: {4}| {0,3}\t)[ \t]*[<>#`~*=0-9-])"
    # It takes blanks of Unicode from the beginning of a paragraph; only spaces and tabs go (4.8).
    r"|(?:\A|[\r\n])[ \t>*+#0-9.)-]*\u2028"
    # No deviation: our scanner reads links by reference as text.
    r"|\]\[r\]"
)


class Reading(NamedTuple):
    """The words of a text that are in wikilinks, in code, and that a task begins with."""

    wikilinks: list[str]
    code: list[str]
    tasks: list[str]


def wikilink(state: StateInline, silent: bool) -> bool:
    """Read ``[[…]]`` before links, unless it has brackets, code or HTML in it."""
    start = state.pos
    if not state.src.startswith("[[", start):
        return False
    state.pos += 2
    while state.pos < state.posMax and not state.src.startswith("]]", state.pos):
        before = state.pos
        state.md.inline.skipToken(state)
        token = state.src[before : state.pos]
        is_span = (token[0] == "`" and token.strip("`")) or (token[0] == "<" and len(token) > 1)
        if is_span or any(mark in token for mark in "[]\n"):
            state.pos = start
            return False
    end = state.pos
    state.pos = start
    if end > state.posMax - 2 or not 1 <= end - start - 2 <= MAX_WIKILINK:
        return False
    if not silent:
        state.push("wikilink", "", 0).content = state.src[start + 2 : end]
    state.pos = end + 2
    return True


PARSER = MarkdownIt("commonmark", {"maxNesting": 1000})
PARSER.inline.ruler.before("link", "wikilink", wikilink)


def read(text: str, words: Sequence[str]) -> Reading:
    """Return which of some words are where; each of them is once in the text."""
    tokens = PARSER.parse(text)
    wikilinks, code = "", ""
    for token in flat(tokens):
        if token.type == "wikilink":
            wikilinks += f" {token.content} "
        elif token.type in ("code_inline", "code_block", "fence"):
            code += f" {token.info} {token.content} "
    return Reading(
        wikilinks=[word for word in words if word in wikilinks],
        code=[word for word in words if word in code],
        tasks=[word for word in tasks(tokens) if word in words],
    )


def flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def tasks(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the first words of the tasks."""
    for item, block, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        is_text = block.type == "paragraph_open" or block.markup[:1] in ("-", "=")
        if item.type == "list_item_open" and is_text and inline.type == "inline":
            first_line = inline.content.partition("\n")[0]
            if item.map[0] == inline.map[0] and (box := CHECKBOX.match(first_line)):
                yield box[1]
