"""The cast, their clients and the servers."""

import contextlib
import functools
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from botocore.loaders import create_loader
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.core.handlers.wsgi import WSGIRequest
from django.core.management.commands import flush
from django.db import connection
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test.client import ClientHandler
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import jwt, pictures
from accounts.actions import mails, sessions
from accounts.models import User
from cloudnotes.api import throttling
from cloudnotes.api.errors import COUNTED
from cloudnotes.fastpath import dispatch
from tests import databases, environment
from tests.databases import NewDatabase
from tests.mailserver import MailServer
from tests.servers import S3Server, Server
from tests.waiting import TIMEOUT_SECONDS

# Assertions in modules that are shared by tests show what they compared, as those in tests do.
pytest.register_assert_rewrite("tests.notes")

PASSWORD = " correct horse battery "
# It reads what there is to know of S3 from JSON, 0.3 s of it, for each session of boto3 anew.
create_loader_once = functools.cache(create_loader)


def pytest_configure(config: pytest.Config) -> None:
    # Tests assert no times. A build fails for what was changed and not for what was drawn; a
    # developer's run draws anew.
    hypothesis.settings.register_profile(
        "anew", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    anew = hypothesis.settings.get_profile("anew")
    hypothesis.settings.register_profile("ci", anew, derandomize=True, database=None)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "anew")
    # As in tests/patience.py: the machine may pause for seconds.
    pictures.TIMEOUT_SECONDS = pictures.QUEUE_SECONDS = 60.0
    settings.PASSWORD_HASHERS[0] = "tests.hashers.QuickBCryptSHA256"
    # pytest-django knows that SQLite's test databases are in memory by Django's engine alone.
    if not environment.POSTGRESQL:
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = ":memory:"
    # Each test client would look for all static files anew; services serve them.
    settings.WHITENOISE_USE_FINDERS = False


@pytest.fixture(autouse=True)
def counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a test's requests anew: on SQLite the next test's user has the same number."""
    monkeypatch.setattr(throttling, "counter", throttling.SharedCounter())


@pytest.fixture(autouse=True)
def fast_path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Send Django's test clients where a worker's thread sends a request: the fast path first.

    Returns the requests that it has answered. ``settings.FAST_PATH = False`` closes it.
    """
    transport, taken = dispatch.sync_transport(lambda *_: ()), []
    plain = ClientHandler.get_response

    def get_response(handler: ClientHandler, request: WSGIRequest) -> HttpResponseBase:
        found = transport.dispatcher.find(request.method or "", request.path)
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if settings.FAST_PATH and found and length <= found[0].max_body_bytes:
            body = {"wsgi.input": io.BytesIO(request.body)}
            environ = {"HTTP_HOST": "testserver", **request.META, **body}
            if not environ.get("HTTP_COOKIE"):
                environ.pop("HTTP_COOKIE", None)  # a browser without cookies sends no header
            answer = transport.take(environ)
            if answer is not None:
                taken.append(f"{request.method} {request.path}")
                status, headers, content = answer
                response = HttpResponse(content, status=status)
                del response.headers["Content-Type"]
                for name, value in headers:
                    response.headers[name] = value
                return response
            request.META.update({name: environ[name] for name in [COUNTED] if name in environ})
        return plain(handler, request)

    monkeypatch.setattr(ClientHandler, "get_response", get_response)
    return taken


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(environment.DATA_DIR, ignore_errors=True)
    if environment.is_controller(config):
        if environment.POSTGRESQL:
            with contextlib.suppress(psycopg.OperationalError):  # a server that has gone has none
                databases.drop(environment.OUTSIDE["DATABASE_URL"], databases.template_name())
        shutil.rmtree(environment.RUN_DIR, ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [
        f"cloudnotes: database {'PostgreSQL' if environment.POSTGRESQL else 'SQLite'},"
        f" Redis {'yes' if environment.OUTSIDE['REDIS_URL'] else 'no'}, S3 rclone"
    ]


def leg(program: str) -> str:
    """Return the path of a program that a test needs, or skip; in CI a missing one is a failure."""
    found = shutil.which(program)
    if found is None:
        if os.environ.get("REQUIRE_ALL_LEGS"):
            pytest.fail(f"{program} is missing, and in CI every leg must run")
        pytest.skip(f"leg skipped: {program} is not installed (make services)")
    return found


def make_user(name: str, **fields: Any) -> User:
    return User.objects.create_user(
        f"{name}@example.org", PASSWORD, username=name, full_name=name.title(), **fields
    )


def client_of(user: User | None) -> APIClient:
    """Return a client that sends a real access token of a real session."""
    client = APIClient(raise_request_exception=False)
    if user is not None:
        now = timezone.now()
        session = sessions.open_session(user=user, user_agent="pytest", address="", now=now)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {jwt.access_token(session, now)}")
    return client


@pytest.fixture
def alice(db: None) -> User:
    return make_user("alice")


@pytest.fixture
def bob(db: None) -> User:
    return make_user("bob")


@pytest.fixture
def carol(db: None) -> User:
    return make_user("carol")


@pytest.fixture
def as_alice(alice: User) -> APIClient:
    return client_of(alice)


@pytest.fixture
def as_carol(carol: User) -> APIClient:
    return client_of(carol)


@pytest.fixture
def anonymous() -> APIClient:
    return client_of(None)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Make the database of the test clients from the run's template."""
    if environment.POSTGRESQL:
        template = databases.template(environment.OUTSIDE["DATABASE_URL"])
        connection.settings_dict["TEST"]["TEMPLATE"] = template


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Copy back the rows of migrations after a flush: Django would look for each of them anew."""
    with django_db_blocker.unblock():
        rows = {model: list(model.objects.all()) for model in (ContentType, Permission)}

    def copy_back(*args: Any, **kwargs: Any) -> None:
        ContentType.objects.clear_cache()
        for model, instances in rows.items():
            model.objects.bulk_create(instances)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flush, "emit_post_migrate_signal", copy_back)
        yield


@pytest.fixture(scope="session")
def new_database() -> NewDatabase:
    """Return what makes a database of this leg's kind; who asks for this runs in both legs."""
    return databases.database


@pytest.fixture(scope="session")
def embedded_database() -> NewDatabase:
    """Return what makes an SQLite database, for services whose database does not matter."""
    return functools.partial(databases.database, embedded=True)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3: S3Server, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Switch this process to a new bucket on the S3 server."""
    monkeypatch.setattr("botocore.session.create_loader", create_loader_once)
    # The server may be slow on a busy machine; tests of a silent one have buckets of their own.
    monkeypatch.setattr("notes.files.s3.TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    name = s3.new_bucket()
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "notes.files.s3.BucketStorage",
            "OPTIONS": {
                "bucket_name": name,
                "region_name": "us-east-1",
                "access_key": s3.key,
                "secret_key": s3.secret,
                "endpoint_url": s3.url,
                "addressing_style": "path",
                "querystring_expire": 300,
            },
        },
    }
    return name


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    running = MailServer()
    running.start()
    yield running
    running.stop()


class Mailbox:
    """What a test's users get by mail; ``fetch`` lets the worker's job run first."""

    def __init__(self, server: MailServer) -> None:
        self.server = server

    def fetch(self) -> MailServer:
        while mails.send_due():
            pass
        return self.server


@pytest.fixture
def mailbox(mail_server: MailServer, settings: Any) -> Mailbox:
    """Send this process's mail to a real SMTP server."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail_server.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    return Mailbox(mail_server)


@pytest.fixture(params=["folder", "bucket"])
def stored_keys(
    request: pytest.FixtureRequest, settings: Any, tmp_path: Path
) -> Callable[[], set[str]]:
    """Run a test on both storages; the fixture tells which objects lie there."""
    if request.param == "bucket":
        name = request.getfixturevalue("bucket")
        s3 = request.getfixturevalue("s3")
        return lambda: s3.keys(name)
    options = {"location": str(tmp_path / "files")}
    backend = {"BACKEND": "notes.files.filesystem.FolderStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    folder = Path(default_storage.location)
    return lambda: {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def server(
    s3: S3Server, tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> Iterator[Server]:
    """CloudNotes itself, two worker processes, on this leg's database and the S3 server."""
    folder = tmp_path_factory.mktemp("server")
    with new_database(folder) as where:
        bucket = s3.new_bucket()
        running = Server(folder, **where, **s3.environment(bucket))
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def mailing_server(
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, MailServer]]:
    """CloudNotes with a mail server; both web processes run the worker's jobs."""
    folder = tmp_path_factory.mktemp("mailing-server")
    mail_server = MailServer()
    mail_server.start()
    with new_database(folder) as where:
        running = Server(folder, **where, EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}")
        running.start()
        yield running, mail_server
        running.stop()
    mail_server.stop()


@contextlib.contextmanager
def serving_from_disk(folder: Path, new_database: NewDatabase) -> Iterator[Server]:
    with new_database(folder) as where:
        running = Server(folder, **where)
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def disk_server(
    tmp_path_factory: pytest.TempPathFactory, embedded_database: NewDatabase
) -> Iterator[Server]:
    """CloudNotes as ``make run`` starts it: nothing set, files on disk."""
    empty = functools.partial(embedded_database, is_empty=True)
    with serving_from_disk(tmp_path_factory.mktemp("disk-server"), empty) as running:
        yield running


@pytest.fixture(scope="session")
def file_server(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> Iterator[Server]:
    """CloudNotes on this leg's database with files on disk."""
    with serving_from_disk(tmp_path_factory.mktemp("file-server"), new_database) as running:
        yield running
