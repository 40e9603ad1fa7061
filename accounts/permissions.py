"""What a personal access token may do."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import PersonalAccessToken
from cloudnotes.errors import DomainError

Scope = PersonalAccessToken.Scope
INCLUDED = {Scope.NOTES_WRITE: {Scope.NOTES_READ, Scope.NOTES_APPEND}}


class InsufficientScope(DomainError):
    """The token is good, but not for this (RFC 6750, 3.1)."""

    status = 403
    code = "insufficient_scope"

    def __init__(self, needed: str | None) -> None:
        if needed is None:
            super().__init__(
                "A personal access token can never do this. Log in and use an access token."
            )
            self.auth_header = 'Bearer error="insufficient_scope"'
        else:
            super().__init__(f"The personal access token lacks the scope {needed}.")
            self.auth_header = f'Bearer error="insufficient_scope", scope="{needed}"'


class HasScope(BasePermission):
    """Lets a personal access token in where the view's ``scopes`` name one that it has.

    ``scopes`` is by HTTP method. A view or method that names none is closed to such tokens, so
    that a new one is safe before anybody has thought of it. Whoever logged in may do everything.
    Raises :class:`InsufficientScope`.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        if not isinstance(token, PersonalAccessToken) or request.method == "OPTIONS":
            return True
        method = "GET" if request.method == "HEAD" else request.method
        needed = getattr(view, "scopes", {}).get(method)
        granted: set[str] = set(token.scopes.split())
        for scope in tuple(granted):
            granted |= INCLUDED.get(Scope(scope), set())
        if needed not in granted:
            raise InsufficientScope(needed)
        return True
