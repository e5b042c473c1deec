"""The checks of this repository; `nox -l` lists them, and what follows `--` goes to the tool that a session runs.

Every session asks `packages/*/pyproject.toml` which packages there are.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "unit", "integration", "docs", "wheels"]

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
PROJECTS = {
    path.parent: nox.project.load_toml(path)["project"] for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}
PACKAGES = {project["name"]: folder for folder, project in PROJECTS.items()}
SOURCES = [folder / "src" for folder in PROJECTS]
OWN_CODE = ["noxfile.py", "conftest.py", "tools", "benchmarks", "examples", "services", "docs/_site"]
SUPPORTED_PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def _add_pyenv_to_path() -> None:
    """Let nox find pyenv's Pythons, also those that its shims refuse because they are not selected."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    folders = [str(path.parent) for path in sorted(versions.glob("3.*/bin/python"))]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", "")])


def _runs(python: str) -> bool:
    command = shutil.which(python)
    return command is not None and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


_add_pyenv_to_path()
PYTHONS = [version for version in SUPPORTED_PYTHONS if _runs(f"python{version}")]


def _install_workspace(session: nox.Session, *, editable: bool, groups: Sequence[str] = ("dev",)) -> None:
    """Install every package and the tools of the dependency groups, from the lock when uv is there.

    Not editable means through wheels, so that the tests run on what will be published.
    """
    if session.venv_backend == "uv":
        wheels = [] if editable else ["--no-editable", *(f"--reinstall-package={name}" for name in PACKAGES)]
        session.run_install(
            "uv", "sync", "--all-packages", "--all-extras", "--frozen", "--quiet", "--no-default-groups",
            *(f"--group={group}" for group in groups), *wheels,
            env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location, "UV_PYTHON": session.virtualenv.location},
        )  # fmt: skip
        return
    requirements = list(nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), *groups))
    flag = ["--editable"] if editable else []
    for folder, project in PROJECTS.items():
        extras = ",".join(project.get("optional-dependencies", {}))
        requirements += [*flag, f"{folder}[{extras}]" if extras else str(folder)]
    session.install(*requirements)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    _install_workspace(session, editable=True)
    targets = session.posargs or ["."]
    session.run("ruff", "check", *targets)
    session.run("ruff", "format", "--check", *targets)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy: all sources as one namespace, then each folder of tests by itself.

    The folders of tests may have modules of the same name, which one run of mypy does not allow.
    """
    _install_workspace(session, editable=True, groups=["dev", "docs"])
    env = {"MYPYPATH": os.pathsep.join(map(str, SOURCES))}
    if session.posargs:
        session.run("mypy", *session.posargs, env=env)
        return
    own = [path for name in OWN_CODE if (path := ROOT / name).exists()]
    session.run("mypy", *map(str, [*SOURCES, *own]), env=env)
    for tests in [ROOT / "tests", *(folder / "tests" for folder in PROJECTS)]:
        if any(tests.rglob("*.py")):
            session.run("mypy", str(tests), env=env)


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """Run the tests that need nothing running, on installed wheels."""
    _install_workspace(session, editable=False)
    session.run("pytest", "-m", "not integration", *session.posargs)


@nox.session(python=PYTHONS)
def integration(session: nox.Session) -> None:
    """Run the tests that need real servers, on installed wheels."""
    _install_workspace(session, editable=False)
    no_tests_collected = 5
    session.run("pytest", "-m", "integration", *session.posargs, success_codes=[0, no_tests_collected])


@nox.session
def docs(session: nox.Session) -> None:
    """Build the manual into build/site; a warning is an error."""
    _install_workspace(session, editable=True, groups=["dev", "docs"])
    # Without it, the theme advertises its successor in every build.
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def services(session: nox.Session) -> None:
    """Start, stop or show the servers of the integration tests: `nox -s services -- start kafka`."""
    _install_workspace(session, editable=True)
    session.run("python", "-m", "services", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel of every package from its sdist into dist/, and check that they own disjoint files."""
    shutil.rmtree(DIST, ignore_errors=True)
    if session.venv_backend == "uv":
        session.run("uv", "build", "--all-packages", "--quiet", "--out-dir", str(DIST), external=True)
    else:
        session.install("build")
        for folder in PROJECTS:
            session.run("python", "-m", "build", "--outdir", str(DIST), str(folder))
    session.run("python", "-m", "tools.check_wheels", str(DIST))


@nox.session(python=PYTHONS, reuse_venv=False, requires=["build"])
@nox.parametrize("package", list(PACKAGES))
def wheels(session: nox.Session, package: str) -> None:
    """Install one built wheel alone, with its dependencies, and check what is installed."""
    version = PROJECTS[PACKAGES[package]]["version"]
    # The constraints make our other packages come from dist/ too, whatever has been published of them.
    constraints = Path(session.create_tmp()) / "constraints.txt"
    built = {path.name.partition("-")[0].replace("_", "-"): path for path in DIST.glob("*.whl")}
    constraints.write_text("".join(f"{name} @ {path.as_uri()}\n" for name, path in built.items()))
    session.install(
        f"{package}=={version}", "--find-links", str(DIST), "--constraint", str(constraints), *session.posargs
    )
    if session.venv_backend == "uv":
        session.run("uv", "pip", "check", external=True)
    else:
        session.run("python", "-m", "pip", "check")
    session.run("python", str(ROOT / "tools" / "check_installed.py"), package, version)


if __name__ == "__main__":
    nox.main()
