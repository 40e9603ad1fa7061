"""The addresses of accounts, below the API's prefix."""

from django.urls import path

from accounts.api import auth, contacts, me

urlpatterns = [
    path("auth/register", auth.RegisterView.as_view(), name="register"),
    path("auth/login", auth.LoginView.as_view(), name="login"),
    path("auth/refresh", auth.RefreshView.as_view(), name="refresh"),
    path("auth/logout", auth.LogoutView.as_view(), name="logout"),
    path("auth/logout-all", auth.LogoutAllView.as_view(), name="logout-all"),
    path("auth/me", me.MeView.as_view(), name="me"),
    path(
        "contacts",
        contacts.ContactViewSet.as_view({"get": "list", "post": "create"}),
        name="contacts",
    ),
    path(
        "contacts/<int:pk>",
        contacts.ContactViewSet.as_view(
            {
                "get": "retrieve",
                "put": "update",
                "patch": "partial_update",
                "delete": "destroy",
            }
        ),
        name="contact",
    ),
    path("contacts/birthdays", contacts.BirthdaysView.as_view(), name="contact-birthdays"),
    path("contacts/export", contacts.ExportView.as_view(), name="contact-export"),
    path("contacts/import", contacts.ImportView.as_view(), name="contact-import"),
]
