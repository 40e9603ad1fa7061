import pytest
from django.db import OperationalError

from tests.conftest import client_of


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    ["/health", "/api/v1/notes", "/nothing", "/docs", "/openapi.json", "/admin/login/", "/files/x"],
)
def test_every_response_has_the_security_headers(anonymous, path):
    response = anonymous.get(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe-eval" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Request-Id"]


@pytest.mark.django_db
def test_the_api_is_not_cached(as_alice):
    for path in ("/api/v1/notes", "/api/v1/auth/me", "/api/v1/notes/1"):
        assert as_alice.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.org", True),
        ("https://app.example.org.evil.example", False),
        ("https://xapp.example.org", False),
        ("http://app.example.org", False),
        ("null", False),
    ],
)
def test_cors_is_an_exact_list_without_credentials(anonymous, origin, allowed):
    for response in (
        anonymous.get("/api/v1/notes", HTTP_ORIGIN=origin),
        anonymous.options(
            "/api/v1/notes", HTTP_ORIGIN=origin, HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST"
        ),
    ):
        assert (response.headers.get("Access-Control-Allow-Origin") == origin) == allowed
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.django_db
def test_a_browser_may_send_and_read_what_the_api_speaks(anonymous):
    asked = "authorization,content-type,idempotency-key,if-match,if-none-match,prefer"
    origin = {"HTTP_ORIGIN": "https://app.example.org"}
    before = anonymous.options(
        "/api/v1/notes",
        **origin,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS=asked,
    )
    allowed = before.headers["Access-Control-Allow-Headers"].split(", ")
    assert set(asked.split(",")) <= set(allowed)
    shown = anonymous.get("/api/v1/notes", **origin).headers["Access-Control-Expose-Headers"]
    assert {"ETag", "Location", "Idempotent-Replayed", "Preference-Applied"} <= set(
        shown.split(", ")
    )


@pytest.mark.django_db
def test_a_browser_session_of_the_admin_is_no_credential_of_the_api(alice, client):
    client.force_login(alice)
    assert client.get("/api/v1/auth/me").status_code == 401


@pytest.mark.django_db
def test_a_database_that_is_gone_is_503_with_retry_after(alice, monkeypatch):
    client = client_of(alice)

    def gone(*args, **kwargs):
        raise OperationalError("secret host name")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", gone)
    for path in ("/api/v1/notes", "/admin/login/?next=/admin/", "/health/ready"):
        client.cookies["sessionid"] = "x" * 32
        response = client.get(path)
        assert response.status_code == 503, path
        assert b"secret" not in response.content
    response = client.get("/api/v1/notes")
    assert response.headers["Retry-After"] == "5"
    assert response.json()["code"] == "unavailable"


@pytest.mark.django_db
def test_a_bug_is_a_500_problem_without_its_text(alice, monkeypatch, caplog):
    client = client_of(alice)

    def broken(*args, **kwargs):
        raise RuntimeError("the secret reason")

    monkeypatch.setattr("notes.api.notes.NoteViewSet.paginate_queryset", broken)
    response = client.get("/api/v1/notes")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert b"secret" not in response.content
    assert "the secret reason" in caplog.text
