"""deploy/nginx.conf in front of the real service: TLS, addresses, large bodies."""

import contextlib
import os
import re
import secrets
import socket
import ssl
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import PASSWORD, leg
from tests.ports import free_port, listens
from tests.servers import ROOT, Server, wait_for

SHIPPED = (ROOT / "deploy" / "nginx.conf").read_text()
UPSTREAM = "    server 127.0.0.1:8000 max_fails=0;\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for localhost; return its file and that of its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def running(folder, certificate, plain, tls, upstreams):
    """Start nginx with our file as it is shipped, with names, ports and certificates changed."""
    nginx = leg("nginx")
    text = SHIPPED
    six = "[::1]" if has_ipv6() else "127.0.0.2"
    for old, new in (
        (UPSTREAM, "".join(UPSTREAM.replace("8000", str(port)) for port in upstreams)),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen [::]:80;", f"listen {six}:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{tls} "),
        ("listen [::]:443 ", f"listen {six}:{tls} "),
        ("notes.example.org", "localhost"),
        ("/etc/letsencrypt/live/localhost/fullchain.pem", str(certificate[0])),
        ("/etc/letsencrypt/live/localhost/privkey.pem", str(certificate[1])),
    ):
        assert old in text
        text = text.replace(old, new)
    main = folder / "nginx.conf"
    user = "user root; " if os.getuid() == 0 else ""
    main.write_text(
        f"{user}daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;\n"
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{text}\n}}\n"
    )
    process = subprocess.Popen([nginx, "-c", main, "-p", folder])
    try:
        wait_for(lambda: listens(tls), process, "nginx")
        yield
    finally:
        process.terminate()
        process.wait()


def service(folder, where, tls):
    return Server(
        folder, **where, TRUSTED_PROXY="1", PUBLIC_BASE_URL=f"https://localhost:{tls}",
        ENVIRONMENT="development",
    )  # fmt: skip


@pytest.fixture(scope="module")
def behind_nginx(tmp_path_factory, embedded_database, certificate):
    folder = tmp_path_factory.mktemp("nginx")
    plain, tls = free_port(), free_port()
    with embedded_database(folder) as where:
        server = service(folder, where, tls)
        server.start()
        with running(folder, certificate, plain, tls, [server.port]):
            yield server, plain, f"https://localhost:{tls}", str(certificate[0])
        server.stop()


def test_nginx_from_1_18_on_loads_it():
    """`http2 on` is 1.25.1's; the other form is taken by all, with a warning by newer ones."""
    assert not re.search(r"^\s*http2\s", SHIPPED, re.MULTILINE)
    listening = re.findall(r"^\s*listen .*443.*$", SHIPPED, re.MULTILINE)
    assert len(listening) == 2
    assert all(line.endswith(" ssl http2;") for line in listening)


def test_http_2_is_offered(behind_nginx):
    _, _, url, certificate = behind_nginx
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, port = url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        assert encrypted.selected_alpn_protocol() == "h2"


def test_no_request_fails_while_two_instances_restart_in_turn(
    tmp_path, embedded_database, certificate
):
    """The second one restarts at once when the first is back, as a deploy does it."""
    plain, tls = free_port(), free_port()
    with embedded_database(tmp_path) as where, contextlib.ExitStack() as stack:
        instances = [service(tmp_path, where, tls) for _ in range(2)]
        for instance in instances:
            instance.start()
            stack.callback(instance.stop)
        stack.enter_context(
            running(tmp_path, certificate, plain, tls, [each.port for each in instances])
        )
        api = f"https://localhost:{tls}/api/v1"
        session = requests.Session()
        session.verify, session.trust_env = str(certificate[0]), False
        account = {"email": "alice@example.org", "password": PASSWORD}
        answer = session.post(f"{api}/auth/register", json=account, timeout=60)
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        done = threading.Event()

        def send(client):
            statuses = Counter()
            while not done.is_set():
                note = {"title": f"{client}"}
                statuses[session.post(f"{api}/notes", json=note, timeout=60).status_code] += 1
                statuses[session.get(f"{api}/notes", timeout=60).status_code] += 1
            return statuses

        with ThreadPoolExecutor(4) as pool:
            results = [pool.submit(send, client) for client in range(4)]
            try:
                for instance in instances:
                    instance.stop()
                    instance.start()
            finally:
                done.set()
            statuses = sum((result.result() for result in results), Counter())
    assert set(statuses) == {200, 201}, statuses


def test_plain_http_goes_to_tls(behind_nginx):
    _, plain, _, _ = behind_nginx
    answer = requests.post(
        f"http://127.0.0.1:{plain}/api/v1/notes", allow_redirects=False, timeout=60
    )
    assert answer.status_code == 308
    assert answer.headers["Location"].startswith("https://")


def test_the_service_sees_the_client_and_the_scheme(behind_nginx):
    server, _, url, certificate = behind_nginx
    account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    answer = requests.post(
        f"{url}/api/v1/auth/register", json=account, verify=certificate, timeout=60,
        headers={"X-Real-IP": "6.6.6.6", "X-Forwarded-For": "7.7.7.7"},
    )  # fmt: skip
    assert answer.status_code == 201
    assert answer.headers["Strict-Transport-Security"]
    script = "from accounts.models import Session; print(Session.objects.get().address)"
    assert server.manage(f"shell -v 0 -c '{script}'").strip() == "127.0.0.1"
    header = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    note = requests.post(
        f"{url}/api/v1/notes", json={"title": "t"}, headers=header, verify=certificate, timeout=60
    )
    assert note.headers["Location"].startswith(f"{url}/api/v1/notes/")
    content = secrets.token_bytes(5 * 2**20)
    files = {"file": ("big.bin", content)}
    place = f"{url}/api/v1/notes/{note.json()['id']}/file"
    assert requests.put(place, files=files, headers=header, verify=certificate, timeout=60).ok
    fetched = requests.get(place, headers=header, verify=certificate, timeout=60)
    assert fetched.content == content
    too_large = {"file": ("big.bin", b"x" * (9 * 2**20))}
    refused = requests.put(place, files=too_large, headers=header, verify=certificate, timeout=60)
    assert refused.status_code == 413
    assert refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("version", "taken"), [(ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)]
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(behind_nginx, version, taken):
    _, _, url, certificate = behind_nginx
    context = ssl.create_default_context(cafile=certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    host, port = url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        if taken:
            context.wrap_socket(plain, server_hostname=host).close()
        else:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname=host)
