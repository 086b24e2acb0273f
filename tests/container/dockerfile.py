"""The few words of a Dockerfile that ours uses, read into stages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """``word`` in capitals and all that follows it, continued lines joined."""

    word: str
    rest: str

    def listed(self) -> list[str]:
        """The exec form, such as ``["stagesync"]``."""
        words = json.loads(self.rest[self.rest.index("[") :])
        assert isinstance(words, list)
        return words


@dataclass(frozen=True)
class Stage:
    """What stands under one FROM."""

    name: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.word == word]

    def only(self, word: str) -> Instruction:
        (instruction,) = self.all(word)
        return instruction

    def environment(self) -> dict[str, str]:
        pairs = " ".join(instruction.rest for instruction in self.all("ENV")).split()
        return dict(pair.split("=", maxsplit=1) for pair in pairs)


def read_dockerfile() -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first FROM, and the stages."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(name=name or image, instructions=()))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(name=last.name, instructions=(*last.instructions, Instruction(word, rest.strip())))
        else:
            assert word == "ARG"
            name, _, value = rest.partition("=")
            arguments[name] = value
    return arguments, stages
