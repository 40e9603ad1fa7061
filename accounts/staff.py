"""The admin's site: Django's, with limits on its log-in."""

import math
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from accounts import limits
from cloudnotes.errors import TooManyRequests


class StaffLoginForm(AdminAuthenticationForm):
    """Credentials of a member of staff, looked at as often as the limits allow."""

    refused: TooManyRequests | None = None

    def clean(self) -> dict[str, Any]:
        assert self.request is not None
        try:
            limits.spend(self.request, "admin_login", self.cleaned_data.get("username", ""))
        except TooManyRequests as error:
            self.refused = error
            raise ValidationError(str(error), code=error.code) from None
        return super().clean()


class StaffSite(AdminSite):
    """The admin, which answers 429 to one log-in too many."""

    login_form = StaffLoginForm

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response: HttpResponse = super().login(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if isinstance(form, StaffLoginForm) and form.refused:
            response.status_code = form.refused.status
            response.headers["Retry-After"] = str(max(1, math.ceil(form.refused.wait)))
        return response
