"""The deploy files say what the code needs and nothing that it has not."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from tests.servers import ROOT


@pytest.mark.service
def test_the_image_and_systemd_start_what_the_procfile_says(tmp_path):
    (tmp_path / "Procfile").write_text("web: echo first && exec echo second $PORT\n")
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = json.loads(re.search(r"^CMD (.*)$", dockerfile, re.MULTILINE)[1])
    unit = (ROOT / "deploy" / "cloudnotes.service").read_text()
    start = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])
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


def test_compose_waits_for_a_healthy_database():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    web = compose["services"]["web"]
    for name, needed in web["depends_on"].items():
        assert needed["condition"] == "service_healthy"
        assert "healthcheck" in compose["services"][name]
    known = set(re.findall(r"^#([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(web["environment"]) <= known
    worker = compose["services"]["worker"]
    assert worker["environment"] == web["environment"]
    assert worker["command"][-1] == "worker"


def test_the_image_has_no_syntax_line_and_takes_its_base_as_an_argument():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "# syntax=" not in dockerfile
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${BASE}"}
    version = (ROOT / ".python-version").read_text().strip()
    assert f"ARG BASE=python:{version}-slim" in dockerfile
    assert re.search(r"^USER cloudnotes$", dockerfile, re.MULTILINE)
