"""What is promised of the set-up: equal lower bounds, a lock that forces no build of torch."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bounds(requirements):
    parsed = [Requirement(r) for r in requirements]
    return {canonicalize_name(r.name): str(r.specifier) for r in parsed}


def test_conda_and_pip_users_get_the_same_lower_bounds():
    listed = (ROOT / "environment.yml").read_text().partition("dependencies:")[2]
    lines = re.findall(r"^  - ([a-z0-9-]+)([<>=,.0-9]*)$", listed, re.M)
    conda = {CONDA_NAMES.get(name, name): set(bound.split(",")) for name, bound in lines}
    assert conda.pop("pip") == {""}
    assert conda.pop("python") == set(project()["requires-python"].split(","))
    everywhere = [r for r in project()["dependencies"] if Requirement(r).marker is None]
    wanted = {n: set(b.split(",")) for n, b in bounds(everywhere).items()}  # pip -e . adds the rest
    assert conda == wanted
    assert "pip:\n      - -e ." in (ROOT / "environment.yml").read_text()
    assert "nodefaults" in (ROOT / "environment.yml").read_text()


def test_the_lock_satisfies_every_requirement():
    locked = bounds(
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if line[:1].isalnum()
    )
    extras = [r for group in project()["optional-dependencies"].values() for r in group]
    for text in [*project()["dependencies"], *extras]:
        wanted = Requirement(text)
        if wanted.name == "slime":
            continue
        pinned = locked[canonicalize_name(wanted.name)].removeprefix("==")
        assert wanted.specifier.contains(pinned), text


def test_the_lock_forces_no_build_of_torch():
    text = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^torch==[0-9.]+$", text, re.M)
    assert "+cpu" not in text
    assert "nvidia" not in text
    assert "://" not in text


def test_the_readme_names_the_locked_version_of_torch():
    pinned = re.search(r"^torch==[0-9.]+$", (ROOT / "requirements.lock").read_text(), re.M)
    named = re.findall(r"torch==[0-9.]+", (ROOT / "README.md").read_text())
    assert set(named) == {pinned.group()}


def test_every_package_is_installed():
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = {
        ".".join(p.parent.relative_to(ROOT).parts)
        for top in ("slime", "baselines", "foundations")
        for p in (ROOT / top).rglob("__init__.py")
    }
    assert listed == found
