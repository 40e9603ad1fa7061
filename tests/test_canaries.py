"""Unique secrets in every field: none of them is in the log, the database or Redis afterwards."""

import secrets
import sqlite3

import psycopg
import pyotp
import pytest
import redis
import requests
from psycopg import sql

from accounts import personal_tokens
from tests.mailserver import MailServer, code, token
from tests.servers import Server


@pytest.fixture(scope="module")
def world(tmp_path_factory, new_database):
    folder, mail_server = tmp_path_factory.mktemp("canaries"), MailServer()
    mail_server.start()
    with new_database(folder) as where:
        running = Server(
            folder, **where, RATE_LIMITS="on", EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}"
        )
        running.start()
        try:
            yield running, mail_server, use_everything(running, mail_server)
        finally:
            running.stop()
            mail_server.stop()


def canary(kind):
    return f"canary-{kind}-{secrets.token_hex(8)}"


def use_everything(server, mail_server):
    """Use each secret in each way there is; return the secrets, and what only logs must not have.

    The wrong ones too: somebody types a password where the name belongs.
    """
    kept, spoken = {}, {}

    def call(method, path, body=None, key=None, **options):
        url, keyed = f"{server.api}/{path}", {"Idempotency-Key": key} if key else {}
        headers = {**header, **keyed}
        return requests.request(method, url, json=body, headers=headers, timeout=60, **options)

    header = {}
    password, email = canary("password"), f"{canary('mail')}@example.org"
    kept["password"] = password
    registered = call("POST", "auth/register", {"email": email, "password": password}).json()
    kept["access"], kept["refresh"] = registered["access_token"], registered["refresh_token"]
    kept["wrong password"] = canary("wrong")
    call("POST", "auth/login", {"email": email, "password": kept["wrong password"]})
    kept["password as a name"] = canary("name")
    call("POST", "auth/login", {"username": kept["password as a name"], "password": "x" * 8})
    call("POST", "auth/login", {"email": email, "password": [kept["wrong password"]]})
    mail_server.wait_for(email)
    message = mail_server.last(email)
    kept["verify token"], kept["verify code"] = token(message), code(message)
    call("POST", "auth/email/verify", {"email": email, "code": kept["verify code"]})
    call("POST", "auth/email/verify", {"token": kept["verify token"]})
    refreshed = call("POST", "auth/refresh", {"refresh_token": kept["refresh"]}).json()
    kept["second access"] = refreshed["access_token"]
    kept["second refresh"] = refreshed["refresh_token"]
    header["Authorization"] = f"Bearer {kept['second access']}"
    # With a key answers are kept for a day, and these are told once.
    kept["idempotency key"] = canary("key")
    setup = call("POST", "auth/2fa", {"password": password}, key=kept["idempotency key"]).json()
    kept["totp secret"] = setup["secret"]
    app = pyotp.TOTP(setup["secret"])
    code_now = {"code": app.now()}
    codes = call("POST", "auth/2fa/confirm", code_now, key="2").json()["recovery_codes"]
    kept["recovery code"], kept["used recovery code"] = codes[:2]
    login = {"email": email, "password": password, "code": codes[1]}
    assert call("POST", "auth/login", login).status_code == 200
    made = {"name": "cli", "password": password, "scopes": ["notes:write"]}
    kept["personal access token"] = call("POST", "auth/tokens", made, key="3").json()["token"]
    assert call("POST", "auth/tokens", made, key="3").headers["Idempotent-Replayed"] == "true"
    kept["mistyped token"] = personal_tokens.new_token()
    for secret in (kept["personal access token"], kept["mistyped token"]):
        bearer = {"Authorization": f"Bearer {secret}"}
        requests.get(f"{server.api}/notes", headers=bearer, timeout=60)
    spoken["note"], spoken["title"] = canary("note"), canary("title")
    note = call("POST", "notes", {"title": spoken["title"], "content": spoken["note"]}).json()
    spoken["file"], spoken["file name"] = canary("file"), canary("file-name")
    url = f"{server.api}/notes/{note['id']}/file"
    file = {"file": (spoken["file name"], spoken["file"].encode())}
    requests.put(url, files=file, headers=header, timeout=60)
    requests.get(url, headers=header, timeout=60)
    (kept_file,) = requests.get(url[: -len("/file")], headers=header, timeout=60).json()[
        "attachments"
    ]
    shown = call("POST", "notes", {"title": "t", "content": kept_file["url"]}).json()
    link = requests.get(
        f"{server.api}/notes/{shown['id']}/display", headers=header, timeout=60
    ).json()["content"]
    requests.get(link, timeout=60)
    kept["file link"] = link.rpartition("/")[2]
    announced = {"name": "n", "size": 1, "sha256": "0" * 64}
    upload = call("POST", f"notes/{note['id']}/attachments/uploads", announced).json()
    requests.put(upload["url"], b"x", headers=upload["headers"], timeout=60)
    kept["upload link"] = upload["url"].rpartition("/")[2]
    spoken["contact"], spoken["search"] = canary("contact"), canary("search")
    call("POST", "contacts", {"first_name": spoken["contact"]})
    call("GET", "contacts", params={"q": spoken["search"]})
    call("POST", "auth/password/forgot", {"email": email})
    message = mail_server.wait_for_subject(email, "Choose a new password")
    kept["reset token"], kept["new password"] = token(message), canary("new")
    reset = {"token": kept["reset token"], "password": kept["new password"]}
    assert call("POST", "auth/password/reset", reset).status_code == 204
    # What a client never shows but sends badly: bodies that cannot be read, odd methods.
    broken = f'{{"password": "{password}"'
    requests.post(f"{server.api}/auth/login", data=broken, timeout=60)
    requests.get(f"{server.url}/nowhere/{spoken['search']}"[:40], timeout=60)
    kept["key"] = (server.folder / "data" / "secret_key").read_text().strip()
    return kept, spoken


def found_in(text, secrets_by_name):
    """Return the names of the secrets of which a text holds what makes them secret.

    Dumps show binary columns in hexadecimal.
    """
    small = text.lower()
    return {
        name
        for name, secret in secrets_by_name.items()
        if secret.rpartition(".")[2] in text
        or secret.replace("-", "") in text
        or secret.encode().hex() in small
    }


def test_the_log_has_none(world):
    server, _, (kept, spoken) = world
    log = server.log.read_text()
    assert "mail sent" in log
    assert found_in(log, kept) == set()
    assert found_in(log, spoken) == set()


def test_the_database_has_none(world):
    server, _, (kept, _) = world
    dump = dumped(server)
    assert "canary-mail" in dump  # the addresses are there
    assert found_in(dump, kept) == set()


def dumped(server):
    if url := server.environment.get("DATABASE_URL"):
        with psycopg.connect(url) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
            texts = [
                str(connection.execute(
                    sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
                ).fetchall())
                for (table,) in tables
            ]  # fmt: skip
        return "\n".join(texts)
    with sqlite3.connect(server.folder / "data" / "cloudnotes.sqlite3") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    return dump


def test_redis_has_none(world):
    server, _, (kept, spoken) = world
    if not server.environment.get("REDIS_URL"):
        pytest.skip("leg skipped: Redis")
    with redis.Redis.from_url(server.environment["REDIS_URL"]) as client:
        names = list(client.scan_iter("*"))
        text = "".join(f"{name!r} {client.dump(name)!r}" for name in names)
    assert "cloudnotes:limits" in text
    assert found_in(text, {**kept, **spoken}) == set()
