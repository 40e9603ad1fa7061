"""Characters of text: what names may hold, and how texts are folded for searches.

Names are those that people choose: tags, categories, usernames. What they may hold is the
FreeformClass of PRECIS (RFC 8264, 4.3), with the joiners of Persian and Sinhala words where RFC
5892 (A.1, A.2) has them. In addition, emoji are whole: with their joiners, variation selectors and
tags (UTS 51), and variants of ideographs and of Mongolian letters are kept. Characters that are
newer than our tables are letters or symbols like others. The tables are those of ``regex``, so a
name does not depend on the version of Python.
"""

import unicodedata

import regex

BLANKS = regex.compile(r"[\p{White_Space}\x1c-\x1f]+")
# Neither seen nor heard, or for private use.
_UNUSABLE = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}"
    r"\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]"
)
# Characters of the above that change how those beside them look.
_USABLE_THERE = regex.compile(
    r"""
    (?<=\p{ccc=9}) [\u200c\u200d]
    | (?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*) \u200c (?=\p{jt=T}*[\p{jt=R}\p{jt=D}])
    | (?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?) \u200d
      (?=\p{Extended_Pictographic})
    | (?<=[\p{Extended_Pictographic}\p{S}]) [\ufe0e\ufe0f]
    | (?<=[0-9\#*]) \ufe0f (?=\u20e3)
    | (?<=\U0001f3f4) [\U000e0020-\U000e007e]+ \U000e007f
    | (?<=\p{Han}) [\ufe00-\ufe02\U000e0100-\U000e01ef]
    | (?<=\p{Mongolian}) [\u180b-\u180d\u180f]
    """,
    regex.VERBOSE,
)

# Soft hyphens, zero-width spaces and joiners are within a word, not between two.
INVISIBLE = r"[\u00ad\u200b-\u200d\u2060\ufeff]"
# Scripts whose marks people often leave out when they search. In other scripts a mark is a letter.
ACCENTS = regex.compile(
    r"(?<=[\p{Latin}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}])\p{M}+|\p{Variation_Selector}"
    rf"|{INVISIBLE}"
)
# Letters that are no base letter and mark for Unicode, but are for those who search.
LETTERS = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        "ħ": "h",
    }
)
# No script has more marks on a letter (Unicode Standard Annex 15, 13: Stream-Safe Text Format), and
# the time to sort them grows with the square of their number.
TOO_MANY_MARKS = regex.compile(r"(\p{M}{30})\p{M}+")


def to_one_line(text: str) -> str:
    """Return a text in NFC, with one blank for blanks and line ends of all kinds, none outside."""
    return BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")


def find_unusable(name: str) -> str:
    """Return the first character of a name that it cannot have, as ``U+202E``; ``''`` if none."""
    if name.isascii() and name.isprintable():
        return ""
    found = _UNUSABLE.search(_USABLE_THERE.sub("", name))
    return f"U+{ord(found[0]):04X}" if found else ""


def fold_for_search(text: str) -> str:
    """Return text in the form that searches compare: case folded, without accents, NFKC."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", TOO_MANY_MARKS.sub(r"\1", text).casefold())
    plain = ACCENTS.sub("", decomposed).translate(LETTERS)
    return unicodedata.normalize("NFC", plain).casefold()
