import tracemalloc

import pytest

from tests.accounts.vcards.reading import card_of, left_out, read_file

MiB = 2**20
JPEG = "\r\n ".join(["A" * 74] * (20 * MiB // 77))


@pytest.mark.parametrize(
    "text",
    [
        card_of("FN:A", "EMAIL;a" + "," * 2**20),
        card_of("FN:A", "EMAIL" + ";a" * 2**19),
        card_of("FN:A", "NOTE:" + "\\" * 2**20),
        card_of("FN:A", "NOTE:" + "," * 2**20),
        card_of("N:" + ";" * 2**20, "FN:A"),
        card_of("FN:A", "NOTE:x", *[" x"] * 2**18),
        card_of("FN:A", *["NOTE:"] * 2**17),
        "BEGIN:VCARD\n" * 2**16,
        "\n" * 2**20,
        "x" * 2**20,
        card_of("FN:A", 'NOTE;X="' + "a" * 2**20),
        card_of("FN:A", *["BEGIN:VEVENT"] * 2**16),
        card_of("FN:A", "EMAIL" + ";" * 2**20),
        card_of("FN:A", "EMAIL;TYPE=" + "," * 2**20 + ":a"),
        card_of("FN:A", "NOTE;X=" + '"' * (2**20 + 1) + ":a"),
        card_of("N:" + "a\\;" * 2**18, "FN:A"),
        card_of("FN:A", "LABEL;QUOTED-PRINTABLE:=", *["a="] * 2**18),
        card_of("FN:A", "NOTE;QUOTED-PRINTABLE:" + "=\n" * 2**19),
        card_of("FN:A", "NOTE;QUOTED-PRINTABLE:" + "=41" * 2**16),
        card_of("FN:A", "X:" + "\r\n\r\n " * 2**18),
        card_of("FN:A", *["AGENT:\nBEGIN:VCARD"] * 2**16),
        card_of(*["item1.TEL:1", "item1.X-ABLabel:a"] * 2**15, "FN:A"),
    ],
    ids=range(22),
)
def test_a_megabyte_of_malice_is_read_to_its_end(text):
    """A pattern with two ways to match a comma would need a time of 2**commas for the first one."""
    for reading in read_file(text):
        assert (reading.card is None) == bool(reading.reason)


@pytest.mark.parametrize(
    "lines",
    [
        [f"PHOTO;ENCODING=b;TYPE=JPEG:{JPEG}"],
        ["PHOTO:data:image/jpeg;base64," + "A" * 20 * MiB],
        [f"PHOTO;ENCODING=b:{JPEG[: MiB // 2]}"] * 40,
    ],
    ids=["folded", "one-line", "many"],
)
def test_of_pictures_nothing_is_copied(lines):
    body = card_of("FN:Mary", *lines, "TEL:1").encode()
    tracemalloc.start()
    try:
        (reading,) = read_file(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MiB
    assert (reading.card.first_name, reading.card.phone) == ("Mary", "1")
    assert left_out(reading) == [("PHOTO", "Pictures are not imported.")]


def test_a_card_has_at_most_300_lines():
    lines = ["FN:A", *["X:1"] * 298, "TEL:1"]
    assert read_file(card_of(*lines[:1], *lines[2:]))[0].card.phone == "1"
    (reading,) = read_file(card_of(*lines))
    assert reading.card.phone == ""
    assert ("", "Only the first 300 lines of a card are read.") in left_out(reading)


def test_a_line_has_at_most_256_kib():
    (reading,) = read_file(card_of("FN:A", "NOTE:" + "x\r\n " * 2**16))
    assert left_out(reading) == [("NOTE", "It has more than 256 KiB.")]
    (reading,) = read_file(card_of("FN:A", *["NOTE:" + "x" * 2**17] * 160))
    assert len(reading.card.notes) == 10_000
