import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.identifiers import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ("ＡＬＩＣＥ", "alice"),
        ("straße", "STRASSE"),
        ("ﬁona", "FIONA"),
        ("e\u0301va", "\u00c9VA"),
        (" alice ", "alice"),
    ],
)
def test_the_same(one, other):
    assert fold(one) == fold(other)


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)
