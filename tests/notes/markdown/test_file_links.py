"""Links to files in a text: where they are, and that code is left as it is."""

import pytest

from notes.markdown import file_links

STABLE = "/api/v1/notes/1/attachments/2"
SIGNED = "/files/" + "t" * 20

# § is an address, and % is one in code.
TEXTS = [
    "![a](§) <§> § [a]: § `%` <img src='§'>\n",
    "```\n%\n```\n§\n- ~~~ %\n  %\n\n  %\n\n§",
    "> ```\n> %\n\n§\n\n    %\n\n\t%\n\na\n    §",
    "`a\n%` § `` ` % `` §` \\`§`",
    "> `a\n> %\n> ` §\r\n>\t§\r- 😀 §",
    "<div>\n\t§\n\n`%`\n\n[a]: §\n",
]


def sign(text, root=""):
    links = file_links.find(text, root=root)
    return file_links.sign(text, links, address=lambda note, file: f"{SIGNED}{note}{file}")


def unsign(text, **options):
    return file_links.unsign(
        text, read=lambda token: (1, 2) if token[0] == "t" else None, **options
    )


@pytest.mark.parametrize("text", TEXTS)
def test_all_but_those_in_code(text):
    stable = text.replace("§", STABLE).replace("%", STABLE)
    signed = text.replace("§", f"{SIGNED}12").replace("%", STABLE)
    assert sign(stable) == signed
    assert unsign(signed) == stable
    signed = text.replace("§", SIGNED).replace("%", SIGNED)
    assert unsign(signed) == text.replace("§", STABLE).replace("%", SIGNED)
    assert unsign(signed, is_fragment=True) == stable


def test_those_of_the_service_that_have_an_address():
    text = f"http://a{STABLE} http://b{STABLE} {STABLE}3 {STABLE}/4 {STABLE}?inline=1"
    links = file_links.find(text, root="http://a")
    assert [text[link.start : link.end] for link in links] == [
        f"http://a{STABLE}",
        f"{STABLE}3",
        f"{STABLE}?inline=1",
    ]
    assert [(link.note_id, link.attachment_id) for link in links] == [(1, 2), (1, 23), (1, 2)]
    signed = file_links.sign(text, links, address=lambda _, file: "/s" if file == 2 else None)
    assert signed == f"/s http://b{STABLE} {STABLE}3 {STABLE}/4 /s?inline=1"


def test_what_a_browser_is_to_show_stays_so():
    text = f"![a]({STABLE}?inline=1) [b]({STABLE})"
    assert sign(text) == f"![a]({SIGNED}12?inline=1) [b]({SIGNED}12)"
    assert unsign(sign(text)) == unsign(sign(text), is_fragment=True) == text
    other = f"{SIGNED}?inline=2 {SIGNED}?inline=1&x {SIGNED}?inline=1x"
    assert unsign(other) == other


def test_a_token_that_was_not_signed_here_stays():
    text = f"/files/{'x' * 20} {SIGNED}/a {SIGNED}"
    assert unsign(text) == f"/files/{'x' * 20} {SIGNED}/a {STABLE}"


def test_links_in_linear_time():
    for text in ("http://x" * 100_000, "/api/v1/notes/1" * 60_000, "/files/" + "a" * 10**6):
        assert sign(text) == text
        assert file_links.unsign(text, read=lambda _: None) == text
