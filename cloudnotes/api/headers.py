"""The security headers of every response, errors included."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

NOTHING_LOADS = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
PAGES = ("/account/", "/admin/", "/docs", "/redoc")
CACHEABLE = ("/static/",)
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}
DATA = {**ALWAYS, "Content-Security-Policy": NOTHING_LOADS, "Cache-Control": "no-store"}


class HeadersMiddleware:
    """Sets :data:`DATA` on responses for programs and a looser policy on HTML pages.

    A header that a view has set is not changed, so a view may be stricter, or cacheable.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        headers = DATA
        if request.path.startswith(PAGES):
            headers = {**ALWAYS, "Content-Security-Policy": OWN_PAGES}
        elif request.path.startswith(CACHEABLE):
            headers = {**ALWAYS, "Content-Security-Policy": NOTHING_LOADS}
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response
