"""Follow the Dockerfile by hand: ``python -m tests.container.follow``.

Its builder's lines are carried out in a scratch folder, then what the image would start is started there. No Docker
engine is needed. Users and volumes are left to the tests beside this file, which read them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .dockerfile import REPOSITORY, Stage, read_dockerfile


def build(stage: Stage, root: Path) -> None:
    """Carry out the builder's COPY and RUN lines below ``root``."""
    moved = {name: value.replace("/opt/", f"{root}/opt/") for name, value in stage.environment().items()}
    # The image has a `python`; Debian calls its own python3.
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, **moved, "PIP_QUIET": "1"}
    here = root / stage.only("WORKDIR").rest.lstrip("/")
    here.mkdir(parents=True)
    (root / "opt").mkdir()
    for instruction in stage.instructions:
        if instruction.word == "COPY":
            copy(instruction.rest.split(), here)
        elif instruction.word == "RUN":
            line = instruction.rest.replace("/build/", f"{root}/build/")
            print("RUN", instruction.rest, flush=True)
            subprocess.run(["/bin/sh", "-e", "-c", line], cwd=here, env=environment, check=True)


def copy(words: list[str], here: Path) -> None:
    *sources, target = words
    for source in sources:
        origin, destination = REPOSITORY / source, here / target
        if origin.is_dir():
            shutil.copytree(origin, destination, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, destination)


def main() -> None:
    _, (builder, image) = read_dockerfile()
    with tempfile.TemporaryDirectory(prefix="stagesync-image-") as folder:
        root = Path(folder)
        build(builder, root)
        programs = root / "opt/stagesync/bin"
        # As in the image: nothing of this machine's environment but what the Dockerfile sets.
        bare = {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": folder}
        entry = image.only("ENTRYPOINT").listed()
        for arguments in (["--version"], ["--help"], [image.only("CMD").listed()[0], "--help"]):
            print("START", *entry, *arguments, flush=True)
            subprocess.run([*entry, *arguments], cwd=folder, env=bare, check=True, stdout=subprocess.DEVNULL)
        # Nobody answers there, and the check must say so.
        check = image.only("HEALTHCHECK").listed()
        unhealthy = subprocess.run(check, cwd=folder, env=bare, check=False, capture_output=True)
        if unhealthy.returncode != 1:
            sys.exit("the health check passes although no daemon runs")
        if (programs / "pip").exists():
            sys.exit("pip is in the image's environment")
    print("the Dockerfile's lines work")


if __name__ == "__main__":
    main()
