"""Every route and verb as every actor. A route that the table lacks fails the build."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.actions import avatars
from accounts.models import PersonalAccessToken, Session, User
from tests.conftest import client_of, make_user
from tests.routes import (
    ACTORS,
    BODIES,
    FILES,
    GIF,
    MAKE,
    PUBLIC,
    QUERIES,
    TABLE,
    expand,
    make_token,
    path_to,
    walk_views,
)


def routes():
    """Yield every route and verb."""
    for route, view in walk_views():
        verbs = getattr(view, "actions", None) or {
            name: None
            for name in ("get", "post", "put", "patch", "delete")
            if hasattr(view.cls, name)
        }
        for verb in set(verbs) - {"head", "options"}:
            yield route, verb


def test_every_route_is_in_the_table_and_the_table_has_no_other():
    assert set(routes()) == set(TABLE)


@pytest.mark.parametrize(
    "row",
    [
        {200: "owner reader writer", 404: "stranger staff"},
        {200: "owner reader writer", 403: "writer", 404: "stranger staff other's"},
        {200: "owner owner reader writer", 404: "stranger staff other's"},
        {200: "owner reader writer anonymous", 404: "stranger staff other's"},
        {200: "owner reader writer", 404: "stranger staff other's nobody"},
        {},
    ],
)
def test_a_row_states_exactly_one_status_for_each_actor(row):
    with pytest.raises(ValueError, match="exactly one status"):
        expand(row)


@pytest.fixture
def actors(db):
    people = {
        "owner": make_user("alice"),
        "stranger": make_user("carol"),
        "staff": make_user("sam", is_staff=True),
        "revoked": make_user("rita"),
        "disabled": make_user("dora"),
    }
    clients = {name: client_of(user) for name, user in people.items()}
    for user in people.values():
        avatars.set_avatar(user=user, images={256: b"picture"})
    clients["anonymous"] = client_of(None)
    for name, user, scopes in (
        ("reader", people["owner"], ["notes:read", "account:read"]),
        ("writer", people["owner"], ["notes:write"]),
        ("other's", people["stranger"], list(PersonalAccessToken.Scope)),
    ):
        clients[name] = client_of(None)
        _, secret = make_token(user, *scopes)
        clients[name].credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    Session.objects.filter(user=people["revoked"]).update(
        revoked_at=timezone.now(), revoked_reason="logout"
    )
    User.objects.filter(pk=people["disabled"].pk).update(is_active=False)
    return people["owner"], clients


@pytest.mark.parametrize(("route", "verb"), [key for key in TABLE if TABLE[key] != PUBLIC])
@pytest.mark.parametrize("prefix", ["/api/v1/", "/"])
def test_the_table(actors, route, verb, prefix):
    owner, clients = actors
    # From the last to the first: what an owner may do ends their tokens.
    for actor in reversed(ACTORS):
        expected = TABLE[route, verb][actor]
        url = prefix + route + QUERIES.get(route, "")
        if "<" in route:
            thing = MAKE[route.partition("/<")[0]](owner)
            before = type(thing).objects.filter(pk=thing.pk).values().get()
            url = prefix + path_to(route, thing)
        if route in FILES and verb in ("put", "post"):
            file = SimpleUploadedFile("g.gif", GIF)
            send = getattr(clients[actor], verb)
            response = send(url, {FILES[route]: file}, format="multipart")
        elif route == "contacts/import":
            response = clients[actor].post(url, BODIES[route], content_type="text/vcard")
        else:
            body = None if verb == "get" else BODIES.get(route)
            if route == "searches" and body:
                body = {**body, "name": actor}  # of which there is one a name
            response = getattr(clients[actor], verb)(url, body, format="json")
        assert response.status_code == expected, (actor, verb, url)
        if expected >= 400 and "<" in route:
            assert b"secret" not in response.content
            assert type(thing).objects.filter(pk=thing.pk).values().get() == before
        if expected >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", [key[0] for key in TABLE if TABLE[key] == PUBLIC])
def test_public_routes_do_not_read_tokens(actors, route):
    for client in actors[1].values():
        response = client.post(f"/{route}", {}, format="json")
        assert response.status_code == 400
