"""The attack list on access tokens: each is a 401 problem, never a 5xx."""

import base64
import json
import time

import jwt as pyjwt
import pytest
from django.conf import settings
from django.utils import timezone

from accounts import jwt
from accounts.actions import sessions
from tests.cases import failures

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(alice):
    return sessions.open_session(user=alice, user_agent="", address="", now=timezone.now())


def claims(session, **changes):
    now = int(time.time())
    good = {
        "sub": str(session.user_id),
        "sid": str(session.pk),
        "jti": "j",
        "iat": now,
        "exp": now + 600,
        "type": "access",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(session, key=None, algorithm="HS256", headers=None, **changes):
    return pyjwt.encode(
        claims(session, **changes), key or settings.JWT_SECRET, algorithm=algorithm, headers=headers
    )


def raw(payload: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    def encode(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    text = f"{encode(header)}.{encode(payload)}"
    algorithm = pyjwt.get_algorithm_by_name("HS256")
    signature = algorithm.sign(text.encode(), algorithm.prepare_key(settings.JWT_SECRET))
    return f"{text}.{encode(signature)}"


def flipped(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


ATTACKS = {
    "alg none": lambda s: pyjwt.encode(claims(s), None, algorithm="none"),
    "alg None": lambda s: raw(json.dumps(claims(s)).encode(), b'{"alg":"None"}'),
    "other alg": lambda s: signed(s, algorithm="HS512"),
    "other key": lambda s: signed(s, key="x" * 64),
    "empty signature": lambda s: signed(s).rpartition(".")[0] + ".",
    "no signature": lambda s: signed(s).rpartition(".")[0],
    "flipped signature": lambda s: flipped(signed(s)),
    "expired": lambda s: signed(s, exp=int(time.time()) - 31),
    "future nbf": lambda s: signed(s, nbf=int(time.time()) + 60),
    "future iat": lambda s: signed(s, iat=int(time.time()) + 60),
    "no sub": lambda s: signed(s, sub=None),
    "no sid": lambda s: signed(s, sid=None),
    "no jti": lambda s: signed(s, jti=None),
    "no iat": lambda s: signed(s, iat=None),
    "no exp": lambda s: signed(s, exp=None),
    "no type": lambda s: signed(s, type=None),
    "exp text": lambda s: raw(json.dumps(claims(s, exp="soon")).encode()),
    "exp list": lambda s: raw(json.dumps(claims(s, exp=[1])).encode()),
    "exp huge": lambda s: raw(json.dumps(claims(s, exp=10**400)).encode()),
    "exp 1e308": lambda s: raw(json.dumps(claims(s, exp=1e308)).encode()),
    "exp NaN": lambda s: raw(json.dumps(claims(s, exp=float("nan"))).encode()),
    "exp infinite": lambda s: raw(json.dumps(claims(s, exp=float("inf"))).encode()),
    "exp true": lambda s: raw(json.dumps(claims(s, exp=True)).encode()),
    "iat text": lambda s: raw(json.dumps(claims(s, iat="now")).encode()),
    "sub number": lambda s: raw(json.dumps(claims(s, sub=s.user_id)).encode()),
    "sub list": lambda s: raw(json.dumps(claims(s, sub=["1"])).encode()),
    "sub huge": lambda s: signed(s, sub="9" * 30),
    "sub 2^63": lambda s: signed(s, sub=str(2**63)),
    "sub word": lambda s: signed(s, sub="alice"),
    "sub other digits": lambda s: signed(s, sub="١"),
    "sid number": lambda s: raw(json.dumps(claims(s, sid=s.pk)).encode()),
    "sid object": lambda s: raw(json.dumps(claims(s, sid={"a": 1})).encode()),
    "jti list": lambda s: raw(json.dumps(claims(s, jti=[1])).encode()),
    "type list": lambda s: raw(json.dumps(claims(s, type=["access"])).encode()),
    "payload list": lambda s: raw(b"[]"),
    "payload text": lambda s: raw(b'"x"'),
    "payload no JSON": lambda s: raw(b"{"),
    "payload bad UTF-8": lambda s: raw(b'{"sub":"\xff"}'),
    "header list": lambda s: raw(json.dumps(claims(s)).encode(), b"[]"),
    "unknown kid": lambda s: signed(s, headers={"kid": "other"}),
    "kid list": lambda s: raw(json.dumps(claims(s)).encode(), b'{"alg":"HS256","kid":[1]}'),
    "crit": lambda s: signed(s, headers={"crit": ["exp"]}),
    "jku": lambda s: signed(s, headers={"jku": "https://evil.example"}),
    "refresh as access": jwt.refresh_token,
    "100 KB": lambda s: signed(s, more="x" * 100_000),
    "100 KB of dots": lambda s: "." * 100_000,
    "not ASCII": lambda s: "tökén.ä.ö",
    "empty": lambda s: "",
    "two tokens": lambda s: f"{signed(s)},Bearer {signed(s)}",
    "two words": lambda s: f"{signed(s)} {signed(s)}",
    "someone else's session": lambda s: signed(s, sub=str(s.user_id + 1)),
    "no such session": lambda s: signed(s, sid=str(s.pk + 1)),
}


def test_attacks_are_401(session, anonymous):
    def check(attack):
        header = f"Bearer {attack(session)}"
        response = anonymous.get(
            "/api/v1/auth/me", HTTP_AUTHORIZATION=header.encode().decode("latin-1")
        )
        assert response.status_code == 401
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="CloudNotes"'
        assert response.json()["code"] == "invalid_token"

    assert failures(ATTACKS, check) == {}
    # Nothing of that has ended the session.
    own = f"Bearer {signed(session)}"
    assert anonymous.get("/api/v1/auth/me", HTTP_AUTHORIZATION=own).status_code == 200


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "bearer", "Token x", "Bearer "])
def test_other_headers_are_401(session, anonymous, header):
    assert anonymous.get("/api/v1/auth/me", HTTP_AUTHORIZATION=header).status_code == 401


def test_the_scheme_is_read_in_any_case_and_30_s_of_skew_are_forgiven(session, anonymous):
    token = signed(session, exp=int(time.time()) - 5, iat=int(time.time()) + 20)
    response = anonymous.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"bEARER {token}")
    assert response.status_code == 200


@pytest.mark.parametrize("attack", ["none", "access", "100 KB", "NUL"])
def test_attacks_on_refresh_are_no_5xx(session, anonymous, attack):
    token = {
        "none": pyjwt.encode(claims(session, type="refresh"), None, algorithm="none"),
        "access": jwt.access_token(session, timezone.now()),
        "100 KB": "x" * 100_000,
        "NUL": "\0",
    }[attack]
    response = anonymous.post("/api/v1/auth/refresh", {"refresh_token": token}, format="json")
    assert response.status_code in (400, 401, 413)


def test_one_query_a_request_reads_session_and_user(session, anonymous, django_assert_num_queries):
    with django_assert_num_queries(2):  # session JOIN user, by primary key; what its files take
        response = anonymous.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {signed(session)}")
    assert response.status_code == 200
