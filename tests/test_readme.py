"""Every command of the README does what it says: this runs them.

That all documents name what exists is in ``test_docs``.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest
import requests

from tests.conftest import leg
from tests.ports import free_port
from tests.servers import PATIENT, ROOT
from tests.waiting import TIMEOUT_SECONDS, until

pytestmark = pytest.mark.service

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
CURL = "".join(block for block in BLOCKS if "curl" in block)
MAKE = [block.strip() for block in BLOCKS if "curl" not in block]


def test_the_readme_has_these_commands():
    assert MAKE == ["make run", "make admin", "make test"]
    assert CURL.count("curl ") == 13


def run(script, cwd, **environment):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=TIMEOUT_SECONDS,
    )  # fmt: skip


@pytest.fixture
def made(tmp_path, embedded_database):
    """Run ``make run`` as the README says, on another port and folder; yield its address."""
    with embedded_database(tmp_path, is_empty=True) as where:
        port = free_port()
        environment = {
            "PORT": str(port),
            "DATA_DIR": str(tmp_path / "data"),
            **where,
            **PATIENT,
        }
        with (tmp_path / "out").open("w") as out:
            process = subprocess.Popen(
                ["make", "run"],
                cwd=ROOT, env={**os.environ, **environment},
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        url = f"http://127.0.0.1:{port}"

        def is_ready():
            try:
                return requests.get(f"{url}/health/ready", timeout=2).ok
            except requests.RequestException:
                return False

        try:
            until(lambda: is_ready() or process.poll() is not None, "make run")
            assert process.poll() is None, (tmp_path / "out").read_text()
            yield url, environment, tmp_path
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=TIMEOUT_SECONDS)


def test_make_run_then_every_curl_line_then_make_admin(made):
    leg("curl")
    url, environment, tmp_path = made
    hint = (tmp_path / "out").read_text()
    for expected in (url, f"{url}/docs", f"{url}/admin/", "make admin"):
        assert expected in hint
    shutil.copy(ROOT / "README.md", tmp_path)
    told = run(CURL.replace("http://127.0.0.1:8000", url), tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert '"content":"- [x] milk","category":"","tags":[]' in told.stdout
    assert '"name":"README.md"' in told.stdout
    assert '"count":1' in told.stdout

    admin = {
        "DJANGO_SUPERUSER_EMAIL": "staff@example.org",
        "DJANGO_SUPERUSER_PASSWORD": "a staff password",
    }
    # createsuperuser asks on a terminal; without one it takes these instead.
    asked = run("make admin ADMIN_OPTIONS=--no-input", ROOT, **environment, **admin)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    with requests.Session() as browser:
        page = browser.get(f"{url}/admin/login/", timeout=60)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        form = {"username": "STAFF@example.org", "password": "a staff password"}
        form |= {"csrfmiddlewaretoken": token, "next": "/admin/"}
        inside = browser.post(f"{url}/admin/login/", form, timeout=60)
        assert "Site administration" in inside.text
        style = re.search(r'href="(/static/[^"]+\.css)"', inside.text)[1]
        assert browser.get(f"{url}{style}", timeout=60).ok


def test_make_test_is_what_runs_this():
    planned = subprocess.run(
        ["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pytest" in planned.stdout
    assert "make test\n" in (ROOT / ".ci" / "run").read_text()
