"""What a personal access token may do."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.models import PersonalAccessToken
from accounts.models.tokens import grants
from cloudnotes.api.errors import DomainError


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


def has_scope(request: Request, needed: str | None) -> bool:
    """Return whether a request's token may do this. Whoever logged in may do everything."""
    token = request.auth
    return not isinstance(token, PersonalAccessToken) or grants(token.scopes, needed)


def require_scope(request: Request, needed: str | None) -> None:
    """Raise :class:`InsufficientScope` where :func:`has_scope` says no."""
    if not has_scope(request, needed):
        raise InsufficientScope(needed)


class HasScope(BasePermission):
    """Lets a personal access token in where the view's ``scopes`` name one that it has.

    ``scopes`` is by HTTP method. A view or method that names none is closed to such tokens, so
    that a new one is safe before anybody has thought of it. Raises :class:`InsufficientScope`.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method != "OPTIONS":
            method = "GET" if request.method == "HEAD" else request.method
            require_scope(request, getattr(view, "scopes", {}).get(method))
        return True
