"""A permanent redirect keeps the method and the body."""

import pytest
from django.test import Client


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_to_tls(client: Client, settings, method):
    settings.SECURE_SSL_REDIRECT = True
    response = getattr(client, method)("/api/v1/notes?limit=1", HTTP_HOST="localhost")
    assert response.status_code == 308
    assert response.headers["Location"] == "https://localhost/api/v1/notes?limit=1"


@pytest.mark.django_db
def test_to_a_path_with_a_slash(client: Client):
    response = client.post("/admin")
    assert (response.status_code, response.headers["Location"]) == (308, "/admin/")
