"""Clients of a running service."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.conftest import PASSWORD


def in_parallel(number, call):
    with ThreadPoolExecutor(number) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(number)]]


def new_account(server):
    email = f"{secrets.token_hex(6)}@example.org"
    body = {"email": email, "password": PASSWORD}
    response = requests.post(f"{server.api}/auth/register", json=body, timeout=60)
    assert response.status_code == 201
    return body, response.json()
