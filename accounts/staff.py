"""The admin's site: Django's, plus limits on log-ins and second factors."""

import math
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import CharField
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from accounts import limits
from accounts.actions import passwords, second_factors
from accounts.apps import PASSED
from accounts.callers import get_user
from accounts.models import User
from cloudnotes.api.errors import DomainError, TooManyRequests


class StaffLoginForm(AdminAuthenticationForm):
    """The log-in form of staff, with the limits on attempts."""

    code = CharField(
        required=False, max_length=40, strip=True, label="Code, if you use two-factor log-in"
    )
    refused: TooManyRequests | None = None

    def clean(self) -> dict[str, Any]:
        assert self.request is not None
        try:
            limits.spend(self.request, "admin_login", self.cleaned_data.get("username", ""))
            cleaned = super().clean()
            user = self.get_user()
            if isinstance(user, User):
                self._check_second_factor(user)
        except TooManyRequests as error:
            self.refused = error
            raise ValidationError(str(error), code=error.code) from None
        except DomainError as error:
            raise ValidationError(str(error), code=error.code) from None
        return cleaned

    def _check_second_factor(self, user: User) -> None:
        if second_factors.get_enabled(user) is None:
            if second_factors.is_needed_by_staff():
                raise ValidationError(
                    "Staff need two-factor log-in here. Set yours up first at "
                    f"{settings.PUBLIC_BASE_URL}/account/two-factor",
                    code="two_factor_needed",
                )
            return
        code = self.cleaned_data.get("code", "")
        if not code:
            raise ValidationError(
                "Enter the code of your authenticator app too.", code="second_factor_required"
            )
        assert self.request is not None
        limits.spend(self.request, "second_factor", user.pk)
        with transaction.atomic():
            second_factors.use(user=user, code=code, now=timezone.now())
        self.request.second_factor_passed = True  # type: ignore[attr-defined]  # see apps.py


class OwnPasswordForm(AdminPasswordChangeForm):
    """Staff change their own password; this ends sessions and tokens of the old one."""

    def save(self, commit: bool = True) -> User:
        with transaction.atomic():
            user = super().save(commit=commit)
            assert isinstance(user, User)
            passwords.note_change(user=user, now=timezone.now())
        return user


class StaffSite(AdminSite):
    """The admin; it answers 429 to a log-in above the limit."""

    login_form = StaffLoginForm
    login_template = "admin/staff_login.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether staff are logged in, with a second factor where it is required."""
        if not super().has_permission(request):
            return False
        return not second_factors.is_needed_by_staff() or (
            bool(request.session.get(PASSED))
            and second_factors.get_enabled(get_user(request)) is not None
        )

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Change the caller's own password, with the limit on attempts."""
        if request.method == "POST":
            limits.spend(request, "password", get_user(request).pk)
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done"),
            template_name="registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response: HttpResponse = super().login(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if isinstance(form, StaffLoginForm) and form.refused:
            response.status_code = form.refused.status
            response.headers["Retry-After"] = str(max(1, math.ceil(form.refused.wait)))
        return response
