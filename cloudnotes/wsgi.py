"""The WSGI application: the fast path, then Django for all other requests."""

import os
import sys

from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from cloudnotes.checks import first_refusal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudnotes.settings")

if refusal := first_refusal():
    sys.exit(refusal)
django_application = get_wsgi_application()
# By name: it imports models, which can be imported only from here on.
application = import_string("cloudnotes.fastpath.dispatch.sync_transport")(django_application)
