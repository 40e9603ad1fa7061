import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts import address_book

PIECES = st.lists(
    st.sampled_from(
        ["tel:", "TEL: ", ";ext=", "; ", "ext=", "\u200b", "\u2011", "\u00a0", "1", "x"]
    )
    | st.characters(exclude_categories=["Cs"])
).map("".join)


@given(PIECES)
@example("te\u200bl:tel: 1;a=b;ext=5")
def test_what_is_clean_stays_as_it_is(text):
    for clean in (address_book.clean_line, address_book.clean_lines, address_book.clean_phone):
        assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("number", "clean"),
    [
        ("tel:+1-418;phone-context=x;ext=102", "+1-418 ext 102"),
        (" 1\u20102\u20133\u22124\uff0d5 ", "1-2-3-4-5"),
        ("1\u202c\u00a0\u2003 2", "1 2"),
        ("1-800-FLOWERS", "1-800-FLOWERS"),
    ],
)
def test_clean_phone(number, clean):
    assert address_book.clean_phone(number) == clean
    assert address_book.is_phone(clean)


@pytest.mark.parametrize("number", ["", "()", "+-", "1\n2", "1\u20282"])
def test_no_phone(number):
    assert not address_book.is_phone(number)


def test_birthdays_without_a_year():
    days = [f"--{month:02}-{day:02}" for month in range(14) for day in range(33)]
    keys = [key for key in map(address_book.read_month_day, days) if key]
    assert len(keys) == 366
    assert all(address_book.read_month_day(address_book.show_birthday(None, k)) == k for k in keys)
