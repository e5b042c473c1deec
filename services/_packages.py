"""What the servers are made of: packages of Debian and Maven, and a Java that is new enough."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

from services._errors import UnavailableError

_NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def debian(package: str, is_there: Callable[[], bool]) -> None:
    """Install a Debian package, unless what it is wanted for is there.

    Raises:
        UnavailableError: it is missing and cannot be installed by this user on this machine.
    """
    if is_there():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnavailableError(f"The Debian package {package} is missing, and only root on Debian can install it.")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not _succeeds(install, environment):
        # The lists of packages may be old, or not be there at all.
        _succeeds(["apt-get", "update"], environment)
        _succeeds(install, environment)
    if not is_there():
        raise UnavailableError(f"The Debian package {package} is missing, and `{' '.join(install)}` did not bring it.")


def _succeeds(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def version(pom: Path, artifact: str) -> str:
    """Return the version of a dependency that a pom names.

    Raises:
        ValueError: the pom does not name it.
    """
    root = ElementTree.parse(pom).getroot()
    for dependency in root.iterfind(".//m:dependency", _NAMESPACE):
        if dependency.findtext("m:artifactId", None, _NAMESPACE) == artifact:
            return dependency.findtext("m:version", "", _NAMESPACE)
    raise ValueError(f"{pom.name} names no dependency {artifact}.")


def maven(pom: Path, cache: Path) -> Path:
    """Return a folder with the runtime dependencies of a pom; Maven fetches them when the pom has changed.

    Raises:
        UnavailableError: Maven is missing or does not get them.
    """
    target = cache / f"{pom.parent.name}-{sha256(pom.read_bytes()).hexdigest()[:12]}"
    if target.exists():
        return target
    debian("maven", lambda: shutil.which("mvn") is not None)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = [
        "mvn",
        "--batch-mode",
        "--quiet",
        "-Dstyle.color=never",
        "--file",
        str(pom),
        "dependency:copy-dependencies",
    ]
    result = subprocess.run([*command, f"-DoutputDirectory={partial}"], capture_output=True, text=True, check=False)
    if result.returncode:
        told = (line.removeprefix("[ERROR]").strip() for line in result.stdout.splitlines())
        reason = next(filter(None, told), result.stderr)
        raise UnavailableError(f"Maven does not get the dependencies of {pom}: {reason}")
    partial.rename(target)
    return target


def _javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if command := shutil.which("java"):
        yield Path(command).resolve().parents[1]
    yield from sorted(Path("/usr/lib/jvm").glob("*"))


def _java_version(home: Path) -> int:
    """Return the major version of a Java, 0 where there is none."""
    try:
        result = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', result.stderr)
    return int(found[1]) if found else 0


def _oldest_java(minimum: int) -> Path | None:
    known = {home: _java_version(home) for home in dict.fromkeys(map(Path.resolve, _javas()))}
    return min((home for home in known if known[home] >= minimum), key=lambda home: known[home], default=None)


def java(minimum: int) -> Path:
    """Return the home of the oldest Java that has at least this major version; old ones are what servers know best.

    Raises:
        UnavailableError: there is none, and Debian's own is older or cannot be installed.
    """
    debian("default-jre-headless", lambda: _oldest_java(1) is not None)
    home = _oldest_java(minimum)
    if home is None:
        raise UnavailableError(f"Java {minimum} or newer is missing; install one and name it in JAVA_HOME.")
    return home
