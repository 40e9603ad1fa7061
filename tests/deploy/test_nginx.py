"""deploy/nginx.conf in front of the real service: TLS, addresses, large bodies."""

import os
import secrets
import socket
import ssl
import subprocess

import pytest
import requests

from tests.conftest import PASSWORD, leg
from tests.ports import free_port, listens
from tests.servers import ROOT, Server, wait_for


@pytest.fixture(scope="module")
def behind_nginx(tmp_path_factory, embedded_database):
    """Start nginx with our file, its paths and ports changed as an operator changes them."""
    nginx = leg("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    plain, tls = free_port(), free_port()
    with embedded_database(folder) as where:
        server = Server(
            folder, **where, TRUSTED_PROXY="1", PUBLIC_BASE_URL=f"https://localhost:{tls}",
            ENVIRONMENT="development",
        )  # fmt: skip
        server.start()
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        version = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr
        for old, new in (
            ("127.0.0.1:8000", f"127.0.0.1:{server.port}"),
            ("listen 80;", f"listen 127.0.0.1:{plain};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;"),
            ("    listen [::]:80;\n", ""),
            ("    listen [::]:443 ssl;\n", ""),
            ("notes.example.org", "localhost"),
            ("/etc/letsencrypt/live/localhost/fullchain.pem", str(certificate)),
            ("/etc/letsencrypt/live/localhost/privkey.pem", str(key)),
        ):
            assert old in text
            text = text.replace(old, new)
        if tuple(map(int, version.rpartition("/")[2].split(" ")[0].split("."))) < (1, 25, 1):
            text = text.replace("    http2 on;\n", "")  # Debian 12's nginx says it otherwise
        main = folder / "nginx.conf"
        main.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events {}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body;\n"
            f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;\n"
            f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{text}\n}}\n"
        )
        if os.getuid() == 0:
            main.write_text(f"user root;\n{main.read_text()}")
        process = subprocess.Popen([nginx, "-c", main, "-p", folder])
        wait_for(lambda: listens(tls), process, "nginx")
        yield server, plain, f"https://localhost:{tls}", str(certificate)
        process.terminate()
        process.wait()
        server.stop()


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
