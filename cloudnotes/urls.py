"""Every address of the service."""

from django.contrib import admin
from django.urls import include, path

from cloudnotes import docs

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
    path("", include((api, "unprefixed"))),
    path("", include("accounts.api.unprefixed")),
]

handler400 = "cloudnotes.errors.bad_request"
handler403 = "cloudnotes.errors.permission_denied"
handler404 = "cloudnotes.errors.not_found"
handler500 = "cloudnotes.errors.server_error"
