"""The deploy files say what the code needs and nothing that it has not."""

import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading

import pytest
import yaml

from tests.servers import ROOT

UNIT = ROOT / "deploy" / "cloudnotes.service"
# What the unit takes from a process that somebody has broken into.
CONFINED = {
    "AmbientCapabilities": "",
    "CapabilityBoundingSet": "",
    "LockPersonality": "true",
    "NoNewPrivileges": "true",
    "PrivateDevices": "true",
    "PrivateTmp": "true",
    "PrivateUsers": "true",
    "ProtectClock": "true",
    "ProtectControlGroups": "true",
    "ProtectHome": "true",
    "ProtectHostname": "true",
    "ProtectKernelLogs": "true",
    "ProtectKernelModules": "true",
    "ProtectKernelTunables": "true",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": "true",
    "RestrictNamespaces": "true",
    "RestrictRealtime": "true",
    "RestrictSUIDSGID": "true",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "UMask": "0077",
    "User": "cloudnotes",
}
MAX_EXPOSURE = 30  # tenths, of 100


def directives(section):
    """Return the names of a section of the unit with the lists of their values."""
    parser = re.compile(rf"^\[{section}\]$(.*?)(?=^\[|\Z)", re.DOTALL | re.MULTILINE)
    values = {}
    for line in parser.search(UNIT.read_text())[1].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            values.setdefault(name, []).append(value)
    return values


def test_the_unit_confines_the_service():
    service = directives("Service")
    assert {name: service.get(name) for name in CONFINED} == {
        name: [value] for name, value in CONFINED.items()
    }


def test_the_unit_leaves_what_the_service_needs():
    service = directives("Service")
    # PostgreSQL, Redis, S3 and mail, by TCP or by a socket of this machine.
    assert service["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX"]
    # cloudnotes/pictures/decoder.py limits itself: @resources has setrlimit.
    assert service["SystemCallFilter"] == [
        "@system-service", "~@privileged @resources", "setrlimit prlimit64",
    ]  # fmt: skip
    data_dir = "/var/lib/" + service["StateDirectory"][0]
    assert f"DATA_DIR={data_dir}" in " ".join(service["Environment"]).split()
    # The shell of ExecStart becomes gunicorn, which starts new workers by SIGHUP.
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    web = re.search(r"^web: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)[1]
    assert web.rpartition("&&")[2].strip().startswith("exec gunicorn ")


@pytest.mark.service
def test_systemd_finds_little_exposure():
    """Where systemd 250 or later is; what it counts is also in the two tests above."""
    if program := shutil.which("systemd-analyze"):
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        if int(re.search(r"systemd (\d+)", version)[1]) >= 250:
            told = subprocess.run(
                [program, "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", UNIT],
                capture_output=True, text=True,
            )  # fmt: skip
            assert told.returncode == 0, told.stdout[-300:] + told.stderr


@pytest.mark.service
def test_the_image_and_systemd_start_what_the_procfile_says(tmp_path):
    (tmp_path / "Procfile").write_text("web: echo first && exec echo second $PORT\n")
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = json.loads(re.search(r"^CMD (.*)$", dockerfile, re.MULTILINE)[1])
    start = shlex.split(directives("Service")["ExecStart"][0])
    for line in (command, start):
        told = subprocess.run(
            line,
            cwd=tmp_path,
            env={"PORT": "7", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        assert told.stdout == "first\nsecond 7\n", told.stderr


def test_the_image_has_every_file_that_serving_needs():
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert {"accounts", "cloudnotes", "notes", "templates", "manage.py", "gunicorn.conf.py",
            "Procfile", "requirements.txt"} == kept  # fmt: skip
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.service
def test_static_files_can_be_collected_without_any_secret(tmp_path):
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "ENV_FILE": os.devnull}
    told = subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--dry-run"],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "swagger-ui-bundle.js" in told.stdout


def read_compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def health_command():
    dockerfile = (ROOT / "Dockerfile").read_text()
    return json.loads(re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", dockerfile, re.MULTILINE)[1])


def test_compose_waits_for_a_healthy_database():
    services = read_compose()
    web, worker = services["web"], services["worker"]
    for name, needed in web["depends_on"].items():
        assert needed["condition"] == "service_healthy"
        assert "healthcheck" in services[name]
    assert worker["command"][-1] == "worker"
    assert web["healthcheck"]["test"] == ["CMD", *health_command()]
    assert worker["healthcheck"] == {"disable": True}


def test_compose_takes_all_settings_from_one_file():
    services = read_compose()
    for name in ("web", "worker"):
        assert services[name]["env_file"] == "compose.env"
    # What stands here wins over the file: only the port, which the lines beside it name.
    assert services["web"]["environment"] == {"PORT": "8000"}
    assert "environment" not in services["worker"]
    # A command such as `down` needs no variable.
    assert ":?" not in (ROOT / "compose.yaml").read_text()
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "compose.env*" in ignored


@pytest.mark.service
def test_the_settings_of_compose_are_made_once(tmp_path):
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "compose_env.sh"
    shutil.copy(ROOT / "deploy" / "compose_env.sh", script)
    starts = [
        subprocess.Popen(["sh", script], cwd="/", stdout=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    outputs = [start.communicate()[0] for start in starts]
    assert [start.returncode for start in starts] == [0] * 5
    assert sum("is made" in output for output in outputs) == 1
    file = tmp_path / "compose.env"
    text = file.read_text()
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert file.read_text() == text
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compose.env", "deploy"]
    settings = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    assert len(settings["SECRET_KEY"]) == 64
    assert re.fullmatch(r"[A-Za-z0-9+/]+", settings["SECRET_KEY"])  # nothing that compose expands
    known = set(re.findall(r"^#([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(settings) <= known
    assert settings["SECRET_KEY"] not in "".join(outputs)
    told = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "ERROR"],
        cwd=ROOT, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "ENV_FILE": str(file)},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_ready = self.path == "/health/ready" and self.server.is_ready
        self.send_response(200 if is_ready else 503)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.service
def test_the_image_asks_the_port_that_is_set_whether_it_is_ready():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/bin:/bin",
            "PORT": str(server.server_port),
            "http_proxy": "http://127.0.0.1:9",
        }
        for server.is_ready in (True, False):
            told = subprocess.run(health_command(), env=environment, capture_output=True)
            assert (told.returncode == 0) == server.is_ready, told.stderr
        server.shutdown()


def test_the_image_has_no_syntax_line_and_takes_its_base_as_an_argument():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "# syntax=" not in dockerfile
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${BASE}"}
    version = (ROOT / ".python-version").read_text().strip()
    assert f"ARG BASE=python:{version}-slim" in dockerfile
    # Kubernetes cannot tell that a name is not root's; Railway builds no image with a VOLUME.
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == ["10001"]
    assert "useradd --uid 10001 " in dockerfile
    assert "chown cloudnotes:cloudnotes /data" in dockerfile
    assert not re.search(r"^VOLUME", dockerfile, re.MULTILINE)
