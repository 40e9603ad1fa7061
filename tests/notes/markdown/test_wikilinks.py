"""Links between notes: which there are in a text, and writing them anew."""

import pytest

from notes.markdown import wikilinks


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("[[Plan]]", ["Plan"]),
        ("a [[ The  Plan ]] b [[x|y]] [[x#y]] [[x#y|z]]", ["The  Plan", "x", "x", "x"]),
        ("[[]] [[ ]] [[|x]] [[#x]] [[a\nb]] [[a]b]] [x] [[x]", []),
        ("[t](/api/v1/notes/12) [t](https://notes.example.org/api/v1/notes/13)", [12, 13]),
        ("[t](https://example.com/notes/12) [t](https://other.example.org/api/v1/notes/13)", []),
        ("| [[x\\|y]] | [[x#y\\|z]] |\n|-|-|\n| [[C#\\|z]] | [[x^y]] |", ["x", "x", "C", "x"]),
        ("[t](</notes/14>) [t](/notes/15/file) [t](/notes/) /notes/16", [14]),
        ("`[[no]]` [[yes]] ``[[no]] ` [[no]]`` [[too]] ` [[open]]", ["yes", "too", "open"]),
        ("```\n[[no]]\n```\n[[yes]]\n~~~~ py\n[[no]]\n~~~\n[[no]]\n~~~~\n[[too]]", ["yes", "too"]),
        ("  ```\n[[no]]", []),
        ("[[é|ü]] 🎉[[東京]]", ["é", "東京"]),
        ("[[" + "x" * 301 + "]]", []),
        # Fences in lists and quotes, with which they end.
        ("- ```\n  [[no]]\n  ```\n  [[yes]]", ["yes"]),
        ("> ```\n> [[no]]\n\n[[yes]]", ["yes"]),
        ("- ```\n  [[no]]\n\n[[yes]]", ["yes"]),
        ("a `\n```\n[[no]]\n```\n` [[yes]]", ["yes"]),
        ("```\u2028[[no]]\n```\n[[yes]]", ["yes"]),
        ("a\u2028```\n[[yes]]\n", ["yes"]),
        # Indented code, which no paragraph turns into.
        ("    [[no]]\n\n\t[[no]]\n\na\n    [[yes]]", ["yes"]),
        ("- a\n\n      [[no]]\n\n    [[yes]]", ["yes"]),
        # Spans go on over the lines of a block, whatever it is in, and end with it.
        ("`a\n[[no]]` [[yes]]\n\n` [[too]]\n\n`", ["yes", "too"]),
        ("> `a\n> [[no]]` [[yes]]\n", ["yes"]),
        ("# `\n[[yes]] `", ["yes"]),
        ("- `\n- [[yes]] `", ["yes"]),
        ("\\`[[yes]]` `\\` [[too]] `[[no]]\\`", ["yes", "too"]),
        # In raw HTML there are none, between two tags there are.
        ("<b title='[[no]]'>[[yes]]</b> <!-- [[no]] -->", ["yes"]),
        ("<div>\n[[no]]\n\n[[yes]]\n</div>", ["yes"]),
        ("<pre>\n\n[[no]]\n</pre>\n[[yes]]", ["yes"]),
        ("> <b\n>  title='[[no]]'> [[yes]]", ["yes"]),
        ("<http://a/`> [[yes]] `", ["yes"]),
        ("a < b [[yes]] > c", ["yes"]),
        # Nor in what follows a label, or in a definition of links.
        ("[a](/b`) [[yes]] ` [a](</[[no]]>) [a](/b '[[no]]')", ["yes"]),
        ("[a]: /b '[[no]]'\n[[yes]]", ["yes"]),
        ("a](/notes/1) `[a](/notes/2)` ![a](/notes/3) [`a`](/notes/4)", [3, 4]),
        # A bracket may be escaped.
        ("\\[[no]] [[no\\]] [[a\\*b]] \\\\[[yes]]", ["a\\*b", "yes"]),
        ("[[[yes]]] [[a]](/b) ![[c]] ![[no]](/b)", ["yes", "a", "c"]),
        ("[[a\r\nb]] [[c\rd]] [[e\u2028f]]\r\n[[g]]\r`[[no]]\r`", ["e\u2028f", "g"]),
    ],
)
def test_which_there_are(text, targets):
    links = wikilinks.find(text, is_own=lambda root: root == "https://notes.example.org")
    assert [link.note_id or link.title for link in links] == targets
    for link in links:
        assert text[link.start : link.end][0] in "[("


HOSTILE = ["[[", "`", "` `` ", "](http://", "[[a|", "[[a]]", "```\n", "[[" + "a" * 299]


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_texts_of_the_largest_size_end(part):
    assert len(wikilinks.find(part * (2**20 // len(part)))) <= wikilinks.MAX_LINKS
    assert wikilinks.find("".join("`" * n + " " for n in range(1400))) == []


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_only_links_outside_of_code_are_written_anew(newline):
    lines = [
        "# 😀 [[§]]",
        ">\t- [[§#x|y]] `[[%]]",
        "> [[%]]` [[§]]\u2028[[§]]",
        "",
        "1.\t~~~",
        "\t[[%]]",
        "\t~~~",
        "\t[[§]]\t",
    ]
    template = newline.join(lines)
    text = template.replace("§", "Plan").replace("%", "Plan")
    expected = template.replace("§", "The Idea").replace("%", "Plan")
    idea = {"Plan": ("The Idea", "/notes/1")}
    assert wikilinks.retitle(text, idea.get) == expected


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("[[a]]", ["a"]),
        ("[[C#]]", ["C#", "C"]),
        ("[[#a b]] [[^c]] [[|d]]", []),
        ("[[a#b|c]]", ["a#b|c", "a#b", "a"]),
        ("[[a|b#c]]", ["a|b#c", "a"]),
        ("[[a\\|b]]", ["a\\|b", "a"]),
        ("[[a^b]]", ["a^b", "a"]),
    ],
)
def test_what_a_link_may_mean(text, titles):
    assert [each.title for link in wikilinks.find(text) for each in link.readings] == titles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[C]] [[C|x]] [[C\\|x]] [[C#x]]", "[[D]] [[D|x]] [[D\\|x]] [[D#x]]"),
        ("[[C#]] [[C#|x]]", "[[D#]] [[D#|x]]"),
        ("[[F#]] [[F#|x]] [[F##y]]", "[[F#]] [[F#|x]] [[F##y]]"),
        ("[[J|x]] [[J#x]] [[J]] [[J#y|z]]", "[[K#|x]] [J](/notes/3) [[K#]] [z](/notes/3)"),
    ],
)
def test_the_longest_title_that_a_note_has_is_meant(text, expected):
    renamed = {"C": ("D", "/notes/1"), "F": ("G", "/notes/2"), "J": ("K#", "/notes/3")}
    known = {"F#", "F##y"}
    assert wikilinks.retitle(text, renamed.get, means=known.__contains__) == expected


@pytest.mark.parametrize("title", ["a|b]", "[a", "a`b", "a<b", "a\\", "a\u2028b", "", " "])
def test_a_title_that_cannot_be_written_gives_way_to_the_address(title):
    assert wikilinks.retitle("[[a]]", lambda _: (title, "/notes/1")) == "[a](/notes/1)"
