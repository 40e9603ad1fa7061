"""Who makes a request, and what its credential allows."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models import User
from accounts.models.tokens import grants


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a request, with what its credential allows.

    ``credential`` is "session 7" or "token 7", ``""`` where there is no bearer token: in the admin,
    in commands and in the worker. The history of notes stores it. ``scopes`` are those of a
    personal access token, separated by spaces; None stands for all. ``category`` is the one that a
    token is limited to, ``""`` for all: the querysets of ``notes`` and ``notes.access`` apply it.
    """

    user: User
    credential: str = ""
    scopes: str | None = None
    category: str = ""
    session_id: int | None = None

    @classmethod
    def with_session(cls, user: User, session_id: int) -> "Caller":
        """Return the caller who logged in: every scope, every category."""
        return cls(user, credential=f"session {session_id}", session_id=session_id)

    @classmethod
    def with_token(cls, user: User, token_id: int, *, scopes: str, category: str) -> "Caller":
        """Return the caller who sends a personal access token, with the token's limits."""
        return cls(user, credential=f"token {token_id}", scopes=scopes, category=category)

    @property
    def pk(self) -> int:
        """The id of the user."""
        return self.user.pk

    def has_scope(self, needed: str | None) -> bool:
        """Return whether the credential allows what needs this scope; None needs a session."""
        return self.scopes is None or grants(self.scopes, needed)


def get_caller(request: HttpRequest | Request) -> Caller:
    """Return the caller of a request that permissions, or the admin, have accepted."""
    caller: Any = getattr(request, "auth", None)
    return caller if isinstance(caller, Caller) else Caller(get_user(request))


def get_user(request: HttpRequest | Request) -> User:
    """Return the user of a request that permissions, or the admin, have accepted."""
    assert isinstance(request.user, User)
    return request.user
