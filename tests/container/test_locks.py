"""The lock files hold exactly what pyproject.toml allows, and say nothing of where it came from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .dockerfile import REPOSITORY

LOCKS = ("requirements.lock", "requirements-build.lock")


def pins(lock: str) -> dict[str, list[str]]:
    """The versions of each package; more than one where they differ by Python version."""
    found: dict[str, list[str]] = {}
    for line in (REPOSITORY / lock).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", " ")):
            name, _, rest = line.partition("==")
            found.setdefault(canonicalize_name(name), []).append(rest.split()[0])
    return found


def requirements() -> list[tuple[str, Requirement]]:
    metadata = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = metadata["project"]
    wanted = [("requirements.lock", line) for line in project["dependencies"]]
    wanted += [("requirements.lock", line) for line in project["optional-dependencies"]["postgres"]]
    wanted += [("requirements-build.lock", line) for line in metadata["build-system"]["requires"]]
    return [(lock, Requirement(line)) for lock, line in wanted]


@pytest.mark.parametrize(("lock", "requirement"), requirements(), ids=str)
def test_every_requirement_is_locked_within_its_range(lock: str, requirement: Requirement) -> None:
    versions = pins(lock).get(canonicalize_name(requirement.name))
    assert versions, f"{requirement.name} is not in {lock}; run make lock"
    assert all(version in requirement.specifier for version in versions), f"{lock} is behind; run make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^-", text, flags=re.MULTILINE), "an option of pip stands in the lock"
    for pin in re.split(r"\n(?=\S)", text):
        if not pin.startswith("#"):
            assert "--hash=sha256:" in pin, pin
