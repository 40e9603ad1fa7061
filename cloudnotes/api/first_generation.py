"""What clients of the first generation expect of the paths without a prefix."""

import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import is_valid_path

from cloudnotes.api.errors import CONTENT_TYPE

PREFIX = "/api/"


class FirstGenerationMiddleware:
    """On paths without the prefix, takes a slash at the end and puts ``error`` into problems."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PREFIX):
            return self.get_response(request)
        path = request.path_info
        if path.endswith("/") and not is_valid_path(path) and is_valid_path(path[:-1]):
            request.path = request.path_info = request.META["PATH_INFO"] = path[:-1]
        response = self.get_response(request)
        is_problem = response.headers.get("Content-Type") == CONTENT_TYPE
        # Pages for people answer in words.
        if is_problem and not response.streaming and response.content.startswith(b"{"):
            problem = json.loads(response.content)
            response.content = json.dumps({**problem, "error": problem["detail"]}).encode()
            if "Content-Length" in response.headers:
                response.headers["Content-Length"] = str(len(response.content))
        return response
