"""All URLs of the service."""

from django.contrib import admin
from django.urls import include, path

from cloudnotes.api import docs

api = [
    path("", include("accounts.api.urls")),
    path("", include("notes.api.urls")),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("openapi.json", docs.openapi, name="schema"),
    path("docs", docs.SwaggerView.as_view(url_name="schema"), name="docs"),
    path("redoc", docs.RedocView.as_view(url_name="schema"), name="redoc"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("notes.urls")),
    # The unprefixed paths of the first generation: the same views once more, not in the docs.
    path("", include("notes.api.unprefixed")),
    path("", include("accounts.api.unprefixed")),
    path("", include((api, "unprefixed"))),
]

handler400 = "cloudnotes.api.errors.bad_request"
handler403 = "cloudnotes.api.errors.permission_denied"
handler404 = "cloudnotes.api.errors.not_found"
handler500 = "cloudnotes.api.errors.server_error"
