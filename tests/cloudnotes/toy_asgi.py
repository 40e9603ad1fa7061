"""The toy behind the real entrance, for gunicorn to load."""

from cloudnotes.asgi import Entrance
from cloudnotes.server.wsgi_adapter import Bridge
from tests.cloudnotes.toy import Toy, echo_socket

application = Entrance(http=Bridge(Toy(), threads=2, max_body_bytes=2**20), websocket=echo_socket)
