"""Django's WSGI application, which serves every HTTP request (see ``cloudnotes.asgi``)."""

import os
import sys

from django.core.wsgi import get_wsgi_application

from cloudnotes.checks import first_refusal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudnotes.settings")

if refusal := first_refusal():
    sys.exit(refusal)
application = get_wsgi_application()
