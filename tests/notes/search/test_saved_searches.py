"""``searches``: keep a search, change it, ask it again."""

import pytest

from notes.actions import saved_searches
from notes.models import SavedSearch
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES, SEARCHES = "/api/v1/notes", "/api/v1/searches"


def save(client, name="Plans", query="plan tag:work"):
    return client.post(SEARCHES, {"name": name, "query": query}, format="json")


def test_keep_ask_change_and_forget(as_alice):
    answer = save(as_alice)
    search = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"{SEARCHES}/{search['id']}")
    assert (search["name"], search["query"]) == ("Plans", "plan tag:work")
    url = f"{SEARCHES}/{search['id']}"
    assert as_alice.get(url).json() == search
    assert as_alice.get(SEARCHES).json() == {"results": [search], "next": None}
    note = as_alice.post(NOTES, {"title": "plan", "tags": ["work"]}, format="json").json()["id"]
    as_alice.post(NOTES, {"title": "plan"}, format="json")
    page = as_alice.get(f"{url}/notes").json()
    assert [each["id"] for each in page["results"]] == [note]
    assert page == as_alice.get("/api/v1/search", {"q": "plan tag:work"}).json()
    changed = as_alice.patch(url, {"query": "plan"}, format="json").json()
    assert (changed["name"], changed["query"]) == ("Plans", "plan")
    assert changed["updated_at"] > search["updated_at"]
    first = as_alice.get(f"{url}/notes?limit=1").json()
    second = as_alice.get(f"{url}/notes?limit=1&cursor={first['next']}").json()
    assert len(first["results"]) == len(second["results"]) == 1
    assert second["next"] is None
    assert as_alice.delete(url).status_code == 204
    assert as_alice.get(url).status_code == as_alice.get(f"{url}/notes").status_code == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "n", "query": "is:a"}, "broken_query"),
        ({"name": "n", "query": ""}, "broken_query"),
        ({"name": "n", "query": "x" * 201}, "invalid"),
        ({"name": "", "query": "a"}, "invalid"),
        ({"name": "x" * 101, "query": "a"}, "invalid"),
        ({"name": "n"}, "invalid"),
        ({"query": "a"}, "invalid"),
    ],
)
def test_what_is_refused(as_alice, fields, code):
    answer = as_alice.post(SEARCHES, fields, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.content
    url = f"{SEARCHES}/{save(as_alice).json()['id']}"
    if len(fields) == 2:
        assert as_alice.patch(url, fields, format="json").status_code == 400
    assert SavedSearch.objects.get().name == "Plans"


def test_one_of_each_name(as_alice, as_carol):
    first, second = save(as_alice, "Straße").json(), save(as_alice, "other").json()
    answer = save(as_alice, "STRASSE")
    assert (answer.status_code, answer.json()["code"]) == (400, "name_taken")
    answer = as_alice.patch(f"{SEARCHES}/{second['id']}", {"name": "strasse"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "name_taken")
    answer = as_alice.patch(f"{SEARCHES}/{first['id']}", {"name": "STRASSE"}, format="json")
    assert answer.json()["name"] == "STRASSE"
    assert save(as_carol, "strasse").status_code == 201


def test_not_too_many(as_alice, monkeypatch):
    monkeypatch.setattr(saved_searches, "MAX_SEARCHES", 2)
    assert [save(as_alice, str(n)).status_code for n in range(3)] == [201, 201, 409]


def test_a_token_of_a_category_has_none(as_alice):
    search = save(as_alice, "a", "secret").json()["id"]
    sent = {"name": "t", "password": PASSWORD, "scopes": ["notes:write"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", sent, format="json").json()["token"]
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert limited.get(SEARCHES).json()["results"] == []
    assert save(limited).status_code == 403
    for method in ("get", "patch", "delete"):
        assert getattr(limited, method)(f"{SEARCHES}/{search}").status_code == 404
    assert limited.get(f"{SEARCHES}/{search}/notes").status_code == 404


def test_queries(as_alice, django_assert_num_queries):
    searches = [save(as_alice, str(n)).json()["id"] for n in range(3)]
    as_alice.get(f"{SEARCHES}/{searches[0]}/notes")
    with django_assert_num_queries(2):  # who asks; the page
        as_alice.get(SEARCHES)
    # Who asks; the search; is there news; is it broad; what matches: nothing.
    with django_assert_num_queries(5):
        as_alice.get(f"{SEARCHES}/{searches[0]}/notes")
