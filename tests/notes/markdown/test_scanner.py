"""Code, wikilinks and tasks are where markdown-it sees them."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from notes.markdown import wikilinks
from notes.markdown.blocks import blocks
from notes.markdown.inline import Kind, spans
from tests.lengths import length
from tests.notes.markdown import oracle

SIZE = 2**20
# In them § is a word, another one each time.
BLOCKS = (
    "- ", "* ", "1. ", "2) ", "> ", ">", "  ", "    ", "\t", "[ ] §", "[x] §", "§", "[[§]]", "`",
    "```", "~~~", "``", "\n", "\n", "\n", "\n\n", "\r\n", "\r", "#", "# ", "---", "===", "<div>",
    "</div>", "<b>", "<!--", "-->", "\\", "[r]: /u\n\n", "<pre>", "</pre>", "<?", "`§`", " ", "|",
    "\u2028", "😀",
)  # fmt: skip
INLINE = (
    "[[", "]]", "[", "]", "![", "](", ")", "(", "[[§]]", "[[§|a]]", "§", "`", "``", "`", "\\",
    "<", ">", '<b a="', '"', "'", "<!-- ", "-->", "<http://a", "<?", "?>", " ", "\n", "</i>",
    "<i", "/u", "<x@y.z>", "!", "[[§", "&amp;", "|", "*", "[a](/u)", "(<", ">)", "\n> ", "- ",
)  # fmt: skip


def numbered(text):
    """Return a text with another word in place of each §, and those words."""
    words = [f"w{number}z" for number in range(text.count("§"))]
    waiting = iter(words)
    return re.sub("§", lambda _: next(waiting), text), words


def reading(text, words):
    """Return what our own scanner makes of a text."""
    in_code, in_links, tasks_begin = [], [], []
    for block in blocks(text):
        if block.is_code:
            in_code.append((block.start, block.end))
            continue
        content = block.inline(text)
        assert len(content) == block.end - block.start
        end = 0
        for span in spans(content):
            assert end <= span.start < span.end
            end = span.end
            if span.kind is Kind.CODE:
                in_code.append((block.start + span.start, block.start + span.end))
            elif span.kind is Kind.WIKILINK:
                in_links.append((block.start + span.start, block.start + span.end))
        box = oracle.CHECKBOX.match(content.partition("\n")[0])
        if block.begins_item and box:
            tasks_begin.append(box[1])

    def within(ranges):
        return [word for word in words if any(a <= text.index(word) < b for a, b in ranges)]

    return oracle.Reading(
        wikilinks=within(in_links),
        code=within(in_code),
        tasks=[word for word in tasks_begin if word in words],
    )


@pytest.mark.parametrize(
    "pieces", [BLOCKS, INLINE, BLOCKS + INLINE], ids=["blocks", "inline", "both"]
)
@pytest.mark.long
def test_as_markdown_it_reads_it(pieces):
    @given(st.lists(st.sampled_from(pieces), max_size=30).map("".join))
    @settings(max_examples=length(short=500, full=50_000), deadline=None)
    def check(text):
        assume(not oracle.DEVIATIONS.search(text))
        text, words = numbered(text)
        assert reading(text, words) == oracle.read(text, words)

    check()


def documents():
    """Return real texts in Markdown, of the packages that are installed."""
    paths = {
        Path(str(file.locate())).resolve()
        for distribution in metadata.distributions()
        for file in distribution.files or ()
        if file.suffix == ".md"
    }
    return [path.read_bytes().decode() for path in sorted(paths) if path.is_file()]


def test_real_texts_as_markdown_it_reads_them():
    """A word is put at the end of every line: whether it is in code must not differ."""
    texts = [text for text in documents() if 0 < len(text) < 10_000]
    assert len(texts) >= 50
    for original in texts[:: length(short=5, full=1)]:
        text, words = numbered(re.sub(r"(?m)(?<=[\w.])$", " [[§]] §", original.replace("§", "")))
        if oracle.DEVIATIONS.search(text):
            continue
        theirs, ours = oracle.read(text, words), reading(text, words)
        assert (ours.code, ours.wikilinks) == (theirs.code, theirs.wikilinks), original[:200]


HOSTILE = [
    "a\n", "a\r\n", "\r", "[", "![", "[[", "]", "](", "[a](", "[](a ", '[a](b "', "[a](b '(",
    "![[a]](", "[a](<b", "[[a|", "[[a]]", "[[" + "a" * 299, "`", "` `` ", "\\`", "<", "<a",
    "<a b ", "<a@a", "<aa:", "<a b=' c=\" e=' d=\" ' f=\" ", "x<!-- ", "x<!-- --->", "x<?",
    "x<![CDATA[", "<!--\n\n", "<div>\n\n", "<b>\n", ">", "> ", "> a\nb\n", "> #\na\n", "> `\n",
    ">" * 99 + "a\n", "- ", "- \n", "- a\n", "-\n\n", "- [ ] a\n", "* ", "#\n", "a\n=\n", "1. ",
    "```\n", "~~~x\n\n", "[r]: x\n", "[r]: x '\n", "[r\n\n", "    a\n\n", "\t", "\t-\ta\n", "|a",
    "http://x", "/api/v1/notes/1", "/files/" + "a" * 99, "word ",
]  # fmt: skip


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.long
def test_hostile_texts_end(part):
    """The time is linear: each takes a second or two, and would take hours otherwise."""
    size = length(short=SIZE // 4, full=SIZE)
    text = part * (size // len(part)) + "[[x]] `/api/v1/notes/1/attachments/2` - [ ] x\n"
    for block in blocks(text):
        for _ in spans(block.inline(text)):
            pass


@pytest.mark.parametrize(
    "text",
    [
        ">" * 100 + "a\n" + "b\n" * (SIZE // 2),
        "- " * 98 + "a\n" + "\n \n" * (SIZE // 4),
        "[r]: " + "é" * (SIZE // 2),
        "".join("`" * n + " " for n in range(1400)),
        "[" + " " * SIZE,
    ],
    ids=range(5),
)
def test_other_hostile_texts_end(text):
    assert wikilinks.find(text + "\n\n[[x]]")[-1:] == [
        wikilinks.Link(len(text) + 2, len(text) + 7, readings=(wikilinks.Reading("x", ""),))
    ]
