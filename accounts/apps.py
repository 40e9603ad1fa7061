"""Who people are and how they prove it."""

import logging
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_login_failed

PASSED = "second_factor_passed"  # in the admin session of whoever has shown one

security_log = logging.getLogger("cloudnotes.security")


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Hear of log-ins to the admin, which are Django's own and have no action of ours."""
        user_logged_in.connect(_logged_in, dispatch_uid="accounts.logged_in")
        user_login_failed.connect(_login_failed, dispatch_uid="accounts.login_failed")


def _logged_in(request: Any, user: Any, **context: Any) -> None:
    # Only now: logging in gives whoever was somebody else before a new session.
    if getattr(request, "second_factor_passed", False):
        request.session[PASSED] = True
    security_log.info("admin login", extra={"event": "admin_login", "user": user.pk})


def _login_failed(**context: Any) -> None:
    security_log.warning("admin login refused", extra={"event": "admin_login_refused"})
