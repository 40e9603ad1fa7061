"""Whatever is asked about notes, the answer is about those that one may see, and about all of them.

``GET notes`` says which those are; the truth table of ``test_access`` holds for it.
"""

import pytest

from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
API = "/api/v1"
CATEGORIES = ["", "Work", "Work/Plans", "Workshop", "Home"]


def create(client, **fields):
    answer = client.post(f"{API}/notes", fields, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def ids(client, path, **parameters):
    answer = client.get(f"{API}/{path}", parameters)
    assert answer.status_code == 200, answer.content
    assert answer.json().get("next") is None
    return {note["id"] for note in answer.json()["results"]}


@pytest.fixture
def actors(as_alice, bob, as_carol):
    """Return clients by name; alice and carol have the same notes, bob has none."""
    for client in (as_alice, as_carol):
        for category in CATEGORIES:
            about = {"category": category, "tags": ["quince"], "title": f"Quince {category}"}
            create(client, content="[[Quince Work]] [[Quince Home]]", **about)
            gone = create(client, content="quince", **about)
            client.delete(f"{API}/notes/{gone}")
    clients = {"alice": as_alice, "bob": client_of(bob), "carol": as_carol}
    for name, scopes in (("reader", ["notes:read"]), ("writer", ["notes:write"])):
        sent = {"name": name, "password": PASSWORD, "scopes": scopes, "category": "Work"}
        token = as_alice.post(f"{API}/auth/tokens", sent, format="json").json()["token"]
        clients[name] = client_of(None)
        clients[name].credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return clients


SEEN = {"alice": 5, "bob": 0, "carol": 5, "reader": 2, "writer": 2}


@pytest.mark.parametrize("actor", SEEN)
def test_every_question_is_about_the_same_notes(actors, actor):
    client = actors[actor]
    seen, trashed = ids(client, "notes"), ids(client, "notes", trashed="true")
    assert len(seen) == len(trashed) == SEEN[actor]
    for query in ("quince", '"quince"', "tag:quince", "-nothing", "title:qui", "-has:file"):
        assert ids(client, "search", q=query) == seen, query
    assert ids(client, "search", q="is:trashed") == trashed
    assert ids(client, "search", q="is:trashed OR quince") == seen | trashed
    assert len(ids(client, "search", q="in:work")) == min(2, SEEN[actor])
    assert len(ids(client, "search", q="in:home")) == (SEEN[actor] == 5)
    assert ids(client, "notes", tag="quince") == seen
    tags = client.get(f"{API}/tags").json()["results"]
    assert tags == ([{"name": "quince", "notes": SEEN[actor]}] if seen else [])
    for note in seen:
        assert ids(client, f"notes/{note}/related") == seen - {note}
        links = client.get(f"{API}/notes/{note}/links").json()
        meant = {link["note"]["id"] for link in links["outgoing"] if link["note"]}
        assert meant <= seen
        assert len(meant) == (1 if SEEN[actor] == 2 else 2)
        incoming = {each["id"] for each in links["incoming"]}
        assert incoming == (seen if note in meant else set())


@pytest.mark.parametrize("actor", SEEN)
def test_what_one_does_not_see_is_as_if_it_were_not(actors, actor):
    client = actors[actor]
    seen = ids(client, "notes")
    everything = set().union(*(ids(each, "notes") for each in actors.values()))
    hidden = sorted(everything - seen)
    for note in hidden:
        for path in ("related", "links"):
            assert client.get(f"{API}/notes/{note}/{path}").status_code == 404
    if actor != "reader":
        for operation in ("favorite", "trash"):
            sent = {"op": operation, "ids": hidden}
            results = client.post(f"{API}/notes/bulk", sent, format="json").json()["results"]
            assert {result["status"] for result in results} <= {"not_found"}
    assert set().union(*(ids(each, "notes") for each in actors.values())) == everything
    assert not set().union(*(ids(each, "notes", favorite="true") for each in actors.values()))


def test_what_is_done_in_a_category_stays_there(actors):
    before = ids(actors["alice"], "notes")
    writer = actors["writer"]
    assert writer.delete(f"{API}/tags/quince").status_code == 204
    assert len(ids(actors["alice"], "search", q="tag:quince")) == 3
    assert writer.delete(f"{API}/categories/Home").status_code == 403
    assert writer.delete(f"{API}/categories/Work?notes=trash").status_code in (200, 204)
    assert len(ids(actors["alice"], "search", q="-nothing")) == len(before) - 2
    assert ids(writer, "search", q="-nothing") == set()
    assert len(ids(actors["carol"], "search", q="tag:quince")) == 5
