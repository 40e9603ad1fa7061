"""The pages that links in mails open, and the one that sets up two-factor log-in.

A link's token is after the ``#`` of the URL, where no server or log sees it. A script sends it to
the API when the user presses the button, so a mail scanner that opens links does not redeem it.
"""

from django.conf import settings
from django.views.generic import TemplateView


class VerifyEmailPage(TemplateView):
    """Verifies an address."""

    template_name = "account/verify_email.html"
    extra_context = {
        "asks_for_password": settings.EMAIL_VERIFICATION == "required",
    }


class ResetPasswordPage(TemplateView):
    """Sets a new password."""

    template_name = "account/reset_password.html"


class TwoFactorPage(TemplateView):
    """Sets up two-factor log-in, for users without another client, above all staff."""

    template_name = "account/two_factor.html"
