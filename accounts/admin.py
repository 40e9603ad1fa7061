"""Accounts in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    UserChangeForm,
)
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from accounts.actions import addresses, mails, passwords, second_factors, tokens, users
from accounts.callers import get_user
from accounts.identifiers import InvalidAddress, canonical_address
from accounts.models import Mail, PersonalAccessToken, Session, User

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")
IDENTIFIERS = {"email_folded", "username_folded"}


class FoldedIdentifiers(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A base of both user forms: sets the folded columns and reports a taken identifier."""

    def clean(self) -> dict[str, Any]:
        super().clean()
        if email := self.cleaned_data.get("email"):
            username = self.cleaned_data.get("username")
            self.instance.set_identifiers(email=email, username=username)
            self.cleaned_data["email"] = self.instance.email
            try:
                canonical_address(email)
                self.instance.clean_fields(
                    exclude={field.name for field in User._meta.fields} - IDENTIFIERS
                )
                self.instance.validate_constraints()
            except InvalidAddress as error:
                self.add_error("email", str(error))
            except ValidationError as error:
                self.add_error(None, error.messages)
        return self.cleaned_data


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # not generic at run time
    """Staff set a user's password; this ends the user's sessions."""

    def save(self, commit: bool = True) -> User:
        with transaction.atomic():
            user: User = super().save(commit=commit)
            passwords.note_change(user=user, now=timezone.now())
        return user


class NewUserForm(FoldedIdentifiers, AdminUserCreationForm):
    """Staff create an account."""

    class Meta:
        model = User
        fields = ("email", "username", "full_name")


class UserForm(FoldedIdentifiers, UserChangeForm):  # type: ignore[type-arg]  # same
    """Staff change an account."""

    class Meta:
        model = User
        fields = (
            "email",
            "username",
            "full_name",
            "password",
            "is_active",
            "is_staff",
            "is_superuser",
            "groups",
            "user_permissions",
        )


def counted(rows: QuerySet[Any], by: str) -> Coalesce:
    """Return an expression that counts ``rows`` of an outer query's row in a subquery.

    Two counts over two joins would multiply each other.
    """
    number = rows.order_by().values(by).annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(number, output_field=IntegerField()), 0)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Users: found by address or name, disabled and enabled, deleted with all they own."""

    form = UserForm
    add_form = NewUserForm
    change_password_form = PasswordForm
    list_display: tuple[str, ...] = (
        "email",
        "username",
        "full_name",
        "is_active",
        "is_staff",
        "live_sessions",
        "created_at",
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "created_at")
    search_fields = ("email_folded", "username_folded", "full_name")
    ordering = ("-created_at", "-pk")
    readonly_fields = ("last_login", "created_at", "email_verified_at")
    actions = ("disable", "enable", "take_second_factor")
    fieldsets = (
        (None, {"fields": ("email", "username", "full_name", "password")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Dates", {"fields": ("last_login", "created_at", "email_verified_at")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "fields": (
                    "email",
                    "username",
                    "full_name",
                    "usable_password",
                    "password1",
                    "password2",
                )
            },
        ),
    )

    def has_change_permission(self, request: HttpRequest, user: User | None = None) -> bool:
        """Return whether staff may change a user; only superusers may change superusers."""
        return super().has_change_permission(request, user) and self._may_touch(request, user)

    def has_delete_permission(self, request: HttpRequest, user: User | None = None) -> bool:
        return super().has_delete_permission(request, user) and self._may_touch(request, user)

    def _may_touch(self, request: HttpRequest, user: User | None) -> bool:
        return user is None or not user.is_superuser or get_user(request).is_superuser

    def get_readonly_fields(
        self, request: HttpRequest, user: User | None = None
    ) -> tuple[str, ...]:
        """Return the read-only fields; ``RIGHTS`` are read-only for all but superusers."""
        return self.readonly_fields + (() if get_user(request).is_superuser else RIGHTS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        live_sessions = Session.objects.live(timezone.now()).filter(user=OuterRef("pk"))
        queryset: QuerySet[User] = super().get_queryset(request)
        return queryset.annotate(session_count=counted(live_sessions, "user"))

    @admin.display(description="live sessions", ordering="session_count")
    def live_sessions(self, user: Any) -> int:
        return int(user.session_count)

    @admin.action(
        description="Disable the selected users and end their sessions", permissions=["change"]
    )
    def disable(self, request: HttpRequest, selected: QuerySet[User]) -> None:
        self._set_active(request, selected, is_active=False)

    @admin.action(description="Enable the selected users", permissions=["change"])
    def enable(self, request: HttpRequest, selected: QuerySet[User]) -> None:
        self._set_active(request, selected, is_active=True)

    @admin.action(
        description="Switch off two-factor log-in of the selected users", permissions=["change"]
    )
    def take_second_factor(self, request: HttpRequest, selected: QuerySet[User]) -> None:
        for user in self._touchable(request, selected):
            second_factors.reset(user=user, by=get_user(request), now=timezone.now())
        self.message_user(request, "They log in with the password alone now.", messages.SUCCESS)

    def _touchable(self, request: HttpRequest, selected: QuerySet[User]) -> QuerySet[User]:
        return selected if get_user(request).is_superuser else selected.exclude(is_superuser=True)

    def _set_active(
        self, request: HttpRequest, selected: QuerySet[User], *, is_active: bool
    ) -> None:
        changed = (
            self._touchable(request, selected)
            .exclude(is_active=is_active)
            .exclude(pk=get_user(request).pk)
        )
        number = 0
        for user in changed:
            users.set_active(
                user=user, is_active=is_active, by=get_user(request), now=timezone.now()
            )
            number += 1
        state = "enabled" if is_active else "disabled"
        self.message_user(request, f"{number} users {state}.", messages.SUCCESS)

    def save_model(self, request: HttpRequest, user: User, form: Any, change: bool) -> None:
        super().save_model(request, user, form, change)
        if change and "email" in form.changed_data:
            addresses.note_change(user=user, before=form.initial["email"], now=timezone.now())
        if change and "is_active" in form.changed_data:
            users.set_active(
                user=user, is_active=user.is_active, by=get_user(request), now=timezone.now()
            )

    def delete_model(self, request: HttpRequest, user: User) -> None:
        users.delete(user=user, by=get_user(request))

    def delete_queryset(self, request: HttpRequest, selected: QuerySet[User]) -> None:
        for user in selected:
            users.delete(user=user, by=get_user(request))


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that staff can see but not change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, row: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, row: Any = None) -> bool:
        return False


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Sessions, read-only; they are ended through their user."""

    list_display = (
        "user",
        "address",
        "user_agent",
        "created_at",
        "last_seen_at",
        "revoked_at",
        "revoked_reason",
    )
    list_filter = ("revoked_reason", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__email_folded", "address")
    autocomplete_fields = ("user",)
    fields = (
        "user",
        "address",
        "user_agent",
        "created_at",
        "last_seen_at",
        "rotated_at",
        "expires_at",
        "revoked_at",
        "revoked_reason",
    )


@admin.register(PersonalAccessToken)
class PersonalAccessTokenAdmin(ReadOnlyAdmin):
    """Personal access tokens, which staff can see and delete."""

    list_display = (
        "user",
        "name",
        "scopes",
        "category",
        "created_at",
        "expires_at",
        "last_used_at",
    )
    list_select_related = ("user",)
    search_fields = ("user__email_folded", "name")
    autocomplete_fields = ("user",)
    fields = list_display

    def has_delete_permission(self, request: HttpRequest, row: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, row)

    def delete_model(self, request: HttpRequest, token: PersonalAccessToken) -> None:
        tokens.delete_token(token=token)

    def delete_queryset(
        self, request: HttpRequest, selected: QuerySet[PersonalAccessToken]
    ) -> None:
        for token in selected:
            tokens.delete_token(token=token)


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """Mails: waiting, sent or given up; never their content."""

    list_display = ("kind", "address", "user", "created_at", "attempts", "sent_at", "failed_at")
    list_filter = ("kind", "created_at", ("failed_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("address_folded", "user__email_folded")
    autocomplete_fields = ("user",)
    fields = (*list_display, "due_at")
    actions = ("send_again",)

    @admin.action(description="Send the selected mails that were given up again")
    def send_again(self, request: HttpRequest, selected: QuerySet[Mail]) -> None:
        for mail in selected:
            mails.send_again(mail=mail, now=timezone.now())
        self.message_user(request, "They are in the queue again.", messages.SUCCESS)
