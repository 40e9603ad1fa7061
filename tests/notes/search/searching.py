"""Writing notes and searching for them over the API."""

NOTES, SEARCH = "/api/v1/notes", "/api/v1/search"


def create(client, title="", content="", **fields):
    answer = client.post(NOTES, {"title": title, "content": content, **fields}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def search(client, q, **parameters):
    answer = client.get(SEARCH, {"q": q, **parameters})
    assert answer.status_code == 200, answer.content
    return answer.json()


def found(client, q):
    page = search(client, q)
    assert page["next"] is None
    assert page["pending"] == 0
    return [note["id"] for note in page["results"]]
