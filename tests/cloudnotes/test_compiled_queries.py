import pytest

from cloudnotes.db.compiled_queries import Parameter, Query
from notes.models import Note

pytestmark = pytest.mark.django_db


def test_a_compiled_query_is_built_once_and_told_its_values(alice):
    for title in ("one", "two"):
        Note.objects.create(owner=alice, title=title)
    built = []

    def make():
        built.append(1)
        return (
            Note.objects.filter(owner_id=Parameter("owner"))
            .order_by("pk")
            .values_list("pk", "title")
        )

    query = Query(make)
    expected = list(Note.objects.filter(owner=alice).order_by("pk").values_list("pk", "title"))
    assert [tuple(row) for row in query.fetch(owner=alice.pk)] == expected
    assert query.fetch(owner=0) == []
    assert len(built) == 1
    with pytest.raises(KeyError):
        query.fetch()
