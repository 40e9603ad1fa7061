"""The toy behind the real entrance, for gunicorn to load."""

from cloudnotes.asgi import ASGIApplication
from cloudnotes.server.wsgi_adapter import WSGIAdapter
from tests.cloudnotes.toy import Toy, echo_socket

application = ASGIApplication(
    http=WSGIAdapter(Toy(), threads=2, max_body_bytes=2**20), websocket=echo_socket
)
