"""Permanent redirects keep the method and the body of a request."""

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse


class RedirectsMiddleware:
    """Answers 308 where Django answers 301: to TLS, and to a path that ends in a slash.

    After a 301 clients send a GET in place of a POST (RFC 9110, 15.4.2): what was written is lost,
    and the answer is a success. After a 308 they send the same request again (15.4.9).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.MOVED_PERMANENTLY:
            response.status_code = HTTPStatus.PERMANENT_REDIRECT
        return response
