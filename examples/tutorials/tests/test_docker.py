"""What can be seen of the Docker tutorials without Docker."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.tutorials.tests.harness import LOCAL_API, TUTORIALS, Program, environment

COMPOSE_FILES = sorted(TUTORIALS.glob("*/docker-compose.yml"))
DOCKERFILE = TUTORIALS / "docker" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", "")
    return [(match[1], match[2]) for match in re.finditer(r"^([A-Z]+) (.*)$", text, re.MULTILINE)]


def argument(instruction: str) -> str:
    [found] = [argument for name, argument in instructions() if name == instruction]
    return found


def compose(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def test_what_the_image_copies_exists_and_its_command_runs(tmp_path: Path, api: str) -> None:
    pytest.importorskip("bspump.http", reason="bspump-http is not installed")
    for copied in [argument for name, argument in instructions() if name == "COPY"]:
        source, target = copied.split()
        shutil.copy(TUTORIALS / source, tmp_path / target)
    script = tmp_path / "coindesk.py"
    script.write_text(script.read_text().replace(LOCAL_API, api).replace("Trigger(app, 5)", "Trigger(app, 0.1)"))
    set_by_image = dict(argument.split("=") for name, argument in instructions() if name == "ENV")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    pump = Program(json.loads(argument("CMD")), tmp_path, {**environment(), **set_by_image, "PATH": path})
    try:
        pump.wait_for("'chartName': 'Bitcoin'")
        assert pump.stop() == 0
    finally:
        pump.close()


def test_the_image_does_not_run_as_root() -> None:
    names = [name for name, _ in instructions()]
    assert argument("USER") not in {"root", "0"}
    assert f" {argument('USER')}" in argument("RUN")  # it is created there
    assert names.index("USER") < names.index("CMD")


def test_the_containers_of_the_pump_are_built_from_files_that_exist() -> None:
    path = TUTORIALS / "docker" / "docker-compose.yml"
    services = compose(path)["services"]
    assert services.keys() == {"api", "coindesk"}
    for service in services.values():
        context = (path.parent / service["build"]["context"]).resolve()
        assert context / service["build"]["dockerfile"] == DOCKERFILE
    assert services["coindesk"]["network_mode"] == "service:api"


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.parent.name)
def test_only_this_machine_may_connect(path: Path) -> None:
    services = compose(path)["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    for service in services.values():
        assert set(service.get("depends_on", [])) <= services.keys()


@pytest.mark.parametrize(
    ("configuration", "section", "option"),
    [
        ("elasticsearch/es_sink.conf", "connection:ESConnection", "url"),
        ("elasticsearch/es_source.conf", "connection:ESConnection", "url"),
        ("kafka/kafka.conf", "connection:KafkaConnection", "bootstrap_servers"),
    ],
)
def test_a_pump_connects_to_where_its_containers_listen(configuration: str, section: str, option: str) -> None:
    path = TUTORIALS / configuration
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    services = compose(path.with_name("docker-compose.yml"))["services"]
    published = {port.rpartition(":")[0] for service in services.values() for port in service.get("ports", [])}
    assert parser[section][option].removeprefix("http://").rstrip("/") in published
