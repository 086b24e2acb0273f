"""What an operator relies on in the image."""

from __future__ import annotations

import pytest

from .dockerfile import REPOSITORY, Stage, read_dockerfile

ARGUMENTS, STAGES = read_dockerfile()


@pytest.fixture
def builder() -> Stage:
    return STAGES[0]


@pytest.fixture
def image() -> Stage:
    return STAGES[-1]


def test_two_stages_on_one_slim_base() -> None:
    assert [stage.name for stage in STAGES] == ["builder", "${BASE}"]
    assert ARGUMENTS["BASE"].startswith("python:3.11-slim")


def test_only_exact_versions_with_hashes_are_installed(builder: Stage) -> None:
    fetching = [run.rest for run in builder.all("RUN") if " install " in run.rest and "--no-index" not in run.rest]
    assert len(fetching) == 2
    for command in fetching:
        assert "--require-hashes" in command
        assert "--only-binary :all:" in command


def test_everything_copied_is_there_and_let_through(builder: Stage) -> None:
    allowed = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    sources = {source for copy in builder.all("COPY") for source in copy.rest.split()[:-1]}
    assert sources == allowed
    for source in sources:
        assert (REPOSITORY / source).exists(), source


def test_the_last_stage_builds_nothing(image: Stage) -> None:
    assert image.only("COPY").rest == "--from=builder /opt/stagesync /opt/stagesync"
    for run in image.all("RUN"):
        for tool in ("pip", "apt-get", "gcc", "curl"):
            assert tool not in run.rest.split()


def test_the_agent_is_an_ordinary_user_with_one_volume(image: Stage) -> None:
    user, group = (int(number) for number in image.only("USER").rest.split(":"))
    assert user > 0
    assert group > 0
    assert image.only("VOLUME").rest == image.only("WORKDIR").rest == "/data"


def test_it_starts_the_daemon_and_asks_it_for_its_health(image: Stage) -> None:
    assert image.only("ENTRYPOINT").listed() == ["stagesync"]
    assert image.only("CMD").listed()[0] == "daemon"
    assert image.only("HEALTHCHECK").listed()[0] == "python"
    assert "/healthz" in image.only("HEALTHCHECK").rest
