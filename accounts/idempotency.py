"""``Idempotency-Key``: a POST that is sent again takes effect once and gets the same response.

After draft-ietf-httpapi-idempotency-key-header-07, which leaves two choices open. Here a key is any
printable text; the quotes of a structured field are optional and are part of the key. And only the
response of a request that took effect is stored: a client may correct a refused request and send
it with the same key.
"""

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.core.exceptions import RequestDataTooBig
from django.db import Error, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.template.response import SimpleTemplateResponse
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import limits
from accounts.authentication import BearerAuthentication
from accounts.callers import Caller, get_caller
from accounts.models import IdempotencyKey
from cloudnotes.api import errors, key_derivation
from cloudnotes.api.errors import DomainError

HEADER = "Idempotency-Key"
WELL_FORMED = re.compile(r"[ -~]{1,255}")
KEPT_FOR = dt.timedelta(hours=24)
BATCH = 1000
# Compared between two requests with one key, besides the method, the URL and the body.
TELLING_HEADERS = ("Content-Type", "If-Match", "Prefer")


class MalformedKey(DomainError):
    """The header is present, but its value is not a valid key."""

    code = "invalid_idempotency_key"
    detail = "An Idempotency-Key has 1 to 255 printable ASCII characters."
    field = HEADER


class KeyReused(DomainError):
    """The key was used for another request, or by a credential with other powers."""

    status = 422
    code = "idempotency_key_reused"
    detail = (
        "This Idempotency-Key was used for another request. Send the same request again, or "
        "choose a new key."
    )


class RequestInProgress(DomainError):
    """Another request with this key is still running."""

    status = 409
    code = "request_in_progress"
    detail = "A request with this Idempotency-Key is still under way. Try again in a second."
    wait = 1


class IdempotencyMiddleware:
    """Runs a user's POST with an ``Idempotency-Key`` once and stores its response for a day.

    It applies to the views of the API that read bearer tokens. Where there is no user (log-in,
    registration, refresh, the links in mails) the header is ignored: those requests can either be
    repeated or succeed only once by design.

    The whole view runs in one transaction with the row that stores its response, so there is never
    an effect without a stored response, nor the reverse. A second request with the key, while the
    first one is running, is refused (409) on PostgreSQL; on SQLite, which has one writer at a time,
    it waits and then gets the first one's response. A refusal by the view (4xx) is committed
    without a row: its only effects are those that must stay, above all the counts of
    ``accounts.limits``. A failure (5xx) is rolled back, and those counts are made again.

    So ``on_commit`` callbacks run after the view and before its response is sent. A POST with work
    that must not run in a transaction (storing files) needs a view that sets ``keeps_own_answers``
    and calls :func:`once` for the rest, or needs no key. The body of a request with a key has at
    most ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes (413).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        key, view_class = request.headers.get(HEADER), getattr(view, "cls", object)
        reads_tokens = BearerAuthentication in getattr(view_class, "authentication_classes", ())
        # True, or the type of the bodies for which it does so.
        own_answers = getattr(view_class, "keeps_own_answers", False)
        keeps_own_answers = own_answers in (True, request.content_type)
        if request.method != "POST" or key is None or not reads_tokens or keeps_own_answers:
            return None
        try:
            bearer = BearerAuthentication().authenticate(request)
            if bearer is None:
                return None
            request.user = bearer[0]
            for throttle in getattr(view_class, "throttle_classes", ()):
                throttle().allow_request(request, None)
            record = KeptAnswer(request, key, bearer[1])
            return _carry_out(request, record, lambda: view(request, *args, **kwargs))
        except AuthenticationFailed:
            return None  # the view answers 401
        except (DomainError, Error, RequestDataTooBig, UnreadablePostError) as error:
            response = errors.answer(error)
            if response is None:
                raise
            return response


def once(view: APIView, *, said: str, ask: Callable[[], Response]) -> HttpResponse:
    """Return the response of ``ask``, or the stored one of the same request with the same key.

    For a view that sets ``keeps_own_answers``. ``said`` summarizes the request's body, which is not
    kept in memory, so that requests can be compared. With a key, ``ask`` runs in the transaction
    that stores its response. Raises :class:`MalformedKey`, :class:`KeyReused`,
    :class:`RequestInProgress` and what ``ask`` raises.
    """
    request = view.request
    key = request.headers.get(HEADER)
    if key is None:
        return ask()
    record = KeptAnswer(request._request, key, get_caller(request), body_summary=said)
    return _carry_out(
        request._request, record, lambda: view.finalize_response(request, ask(), **view.kwargs)
    )


def _carry_out(
    request: HttpRequest, record: "KeptAnswer", call_view: Callable[[], HttpResponse]
) -> HttpResponse:
    """Return the stored response, or else the view's, which is stored if it took effect."""
    is_settled = False
    try:
        with transaction.atomic():
            record.lock()
            response = record.find(timezone.now())
            if response is not None:
                return response
            response = call_view()
            if isinstance(response, SimpleTemplateResponse):
                response.render()
            is_lost = response.status_code >= 500
            if response.status_code < 400:
                record.store(response, timezone.now())
            elif connection.needs_rollback or not connection.is_usable():
                is_lost = True  # a statement failed outside of any savepoint of the view
            if is_lost:
                transaction.set_rollback(True)
        is_settled = not is_lost
        return response
    finally:
        if not is_settled:
            limits.spend_again(request)


class KeptAnswer:
    """The stored response to a user's request with a key; nobody else can read it.

    Digests and the cipher are derived from ``SECRET_KEY``. To read what was stored before a change
    of ``SECRET_KEY``, the keys before it are tried too. Raises :class:`MalformedKey`.
    """

    def __init__(
        self, request: HttpRequest, key: str, caller: Caller, *, body_summary: str | None = None
    ) -> None:
        if not WELL_FORMED.fullmatch(key):
            raise MalformedKey
        self.user = caller.user
        # The key is part of each derivation: without the key nobody can test a guess of what a
        # request contained.
        owner = (self.user.pk, key)
        description = _describe(request, caller, body_summary)
        self.digests = [
            digest.hex() for digest in key_derivation.derive_all("idempotency key", *owner)
        ]
        self.fingerprints = [
            digest.hex()
            for digest in key_derivation.derive_all("idempotency request", *owner, description)
        ]
        self.cipher = MultiFernet(
            [
                Fernet(base64.urlsafe_b64encode(secret))
                for secret in key_derivation.derive_all("idempotency answer", *owner)
            ]
        )

    def lock(self) -> None:
        """Lock this key until the transaction ends.

        On SQLite the transaction itself is the lock. Raises :class:`RequestInProgress` if another
        request holds it.
        """
        if connection.vendor != "postgresql":
            return
        number = int.from_bytes(bytes.fromhex(self.digests[0])[:8], signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
            (is_locked,) = cursor.fetchone()
        if not is_locked:
            raise RequestInProgress

    def find(self, now: dt.datetime) -> HttpResponse | None:
        """Return the response that was stored within the last day; delete an older one.

        Raises :class:`KeyReused` if it belongs to another request.
        """
        row = IdempotencyKey.objects.filter(user=self.user, digest__in=self.digests).first()
        if row is None:
            return None
        if row.created_at <= now - KEPT_FOR:
            IdempotencyKey.objects.filter(pk=row.pk).delete()
            return None
        if row.fingerprint not in self.fingerprints:
            raise KeyReused
        head, _, body = self.cipher.decrypt(bytes(row.answer)).partition(b"\n")
        response = HttpResponse(body, status=row.status)
        del response.headers["Content-Type"]  # an empty response has none
        for name, value in json.loads(head).items():
            response.headers[name] = value
        response.headers["Idempotent-Replayed"] = "true"
        return response

    def store(self, response: HttpResponse, now: dt.datetime) -> None:
        """Store a response as it is before any middleware changes it."""
        head = json.dumps(dict(response.items())).encode()
        IdempotencyKey.objects.create(
            user=self.user,
            digest=self.digests[0],
            fingerprint=self.fingerprints[0],
            status=response.status_code,
            answer=self.cipher.encrypt(head + b"\n" + response.content),
            created_at=now,
        )


def forget_old() -> bool:
    """Delete ``BATCH`` keys older than a day; return whether there are more. A worker's job."""
    old = IdempotencyKey.objects.filter(created_at__lte=timezone.now() - KEPT_FOR)
    ids = list(old.order_by("created_at", "pk").values_list("pk", flat=True)[:BATCH])
    IdempotencyKey.objects.filter(pk__in=ids).delete()
    return len(ids) == BATCH


def _describe(request: HttpRequest, caller: Caller, body_summary: str | None) -> str:
    """Return the text that identifies a request, including the scopes of its credential.

    With the scopes, so that a token with fewer scopes never gets the response to one with more. A
    ``body_summary`` replaces the body, and then the Content-Type is left out: a form has a new
    boundary each time.
    """
    permissions = ["session"]
    if caller.scopes is not None:
        permissions = ["token", caller.scopes, caller.category]
    header_names = TELLING_HEADERS if body_summary is None else TELLING_HEADERS[1:]
    headers = [request.headers.get(name) for name in header_names]
    body = hashlib.sha256(
        request.body if body_summary is None else body_summary.encode()
    ).hexdigest()
    return json.dumps([request.method, request.get_full_path(), headers, body, permissions])
