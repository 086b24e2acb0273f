"""A small part of Jinja for texts that an admin writes: it shows values and can neither call, import nor grow.

A template is checked before a record is read: every name against what there is, every statement against a list of
what is allowed. What is left has bounds that do not depend on the clock: its size, its loops, and its output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from stagesync.errors import Problem
from stagesync.policy.document import nearest

Shape = Mapping[str, "Shape"] | Sequence["Shape"] | None
"""What a value holds: named values, a list of values of one shape, or (None) a plain value."""

LARGEST = 16_384
"""How many characters a template may have."""
LONGEST = 60_000
"""How many characters of output there may be; more is an error."""
MOST_STEPS = 5_000
"""How often the loops of a template may turn in all."""
DEEPEST_LOOP = 4
USED_FILTERS = ("capitalize", "default", "first", "join", "last", "length", "lower", "round", "title", "trim",
                "truncate", "upper")  # fmt: skip
USED_TESTS = ("defined", "none", "even", "odd", "in")
LOOP: Shape = dict.fromkeys(("index", "index0", "revindex", "first", "last", "length"))

_COUNTED = "counted"
_STEPS = "_steps"
_ALLOWED = (
    nodes.Add,
    nodes.And,
    nodes.Compare,
    nodes.Concat,
    nodes.CondExpr,
    nodes.Const,
    nodes.If,
    nodes.Keyword,
    nodes.List,
    nodes.Neg,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Output,
    nodes.Sub,
    nodes.TemplateData,
    nodes.Tuple,
)


class TooMuch(Exception):
    """A template that says too much, or goes round too often, for this record."""


@dataclass
class _Steps:
    left: int = MOST_STEPS


@pass_context
def _counted(context: Context, items: Any) -> Iterator[Any]:
    steps = context[_STEPS]
    for item in items:
        steps.left -= 1
        if steps.left < 0:
            raise TooMuch(f"its loops turn more than {MOST_STEPS:,} times")
        yield item


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.clear()
    made.filters = {name: FILTERS[name] for name in USED_FILTERS} | {_COUNTED: _counted}
    made.tests = {name: TESTS[name] for name in USED_TESTS}
    return made


ENVIRONMENT = _environment()


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The named blocks of a checked template."""

    names: frozenset[str]
    _template: Any

    def text(self, block: str, values: Mapping[str, object]) -> str:
        """What a block says, without empty lines around it. Raises TooMuch, or what its operations raise."""
        context = self._template.new_context({**values, _STEPS: _Steps()})
        parts: list[str] = []
        length = 0
        for part in self._template.blocks[block](context):
            length += len(part)
            if length > LONGEST:
                raise TooMuch(f"it says more than {LONGEST:,} characters")
            parts.append(part)
        return "".join(parts).strip("\n")


def read_blocks(file: Path, source: str, blocks: Mapping[str, Shape]) -> Blocks | list[Problem]:
    """The blocks of a template, each of which may use what ``blocks`` has for its name; or all that is wrong."""
    if len(source) > LARGEST:
        message = f"is longer than {LARGEST:,} characters; a task is read by people"
        return [Problem(file=file, line=1, column=1, message=message)]
    try:
        tree = ENVIRONMENT.parse(source)
        check = _Check(file, source, blocks)
        check.whole(tree)
        if check.problems:
            return sorted(set(check.problems))
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        template = ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as error:
        return [Problem(file=file, line=error.lineno, column=1, message=f"is no template: {error.message}")]
    except (TemplateError, SyntaxError, RecursionError, MemoryError):
        return [Problem(file=file, line=1, column=1, message="is nested too deeply to be read")]
    return Blocks(names=frozenset(template.blocks), _template=template)


class _Check:
    """Notes what a template may not do, or names wrongly."""

    def __init__(self, file: Path, source: str, blocks: Mapping[str, Shape]) -> None:
        self.file, self.lines, self.blocks = file, source.splitlines(), blocks
        self.problems: list[Problem] = []

    def whole(self, tree: nodes.Template) -> None:
        for node in tree.body:
            if isinstance(node, nodes.Block):
                self.block(node)
            elif not _is_space(node):
                names = ", ".join(self.blocks)
                self.note(node, "", f"all that a template says stands in its blocks: {names}")

    def block(self, node: nodes.Block) -> None:
        if node.name not in self.blocks:
            known = list(self.blocks)
            self.note(node, node.name, f"there is no block '{node.name}'{nearest(node.name, known)}; {_listed(known)}")
            return
        shape = self.blocks[node.name]
        assert isinstance(shape, Mapping)
        for one in node.body:
            self.shape(one, shape, 0)

    def note(self, node: nodes.Node, name: str, message: str) -> None:
        line = self.lines[node.lineno - 1] if node.lineno <= len(self.lines) else ""
        column = max(line.find(name), 0) + 1
        self.problems.append(Problem(file=self.file, line=node.lineno, column=column, message=message))

    def shape(self, node: nodes.Node, scope: Mapping[str, Shape], depth: int) -> Shape:
        """The shape of a part of a template, after a look at all that it is made of."""
        match node:
            case nodes.For():
                return self.loop(node, scope, depth)
            case nodes.Name():
                if node.name not in scope:
                    found = nearest(node.name, list(scope))
                    self.note(node, node.name, f"nothing is called '{node.name}'{found}; {_listed(scope)}")
                return scope.get(node.name)
            case nodes.Getattr():
                return self.part(node, node.attr, self.shape(node.node, scope, depth))
            case nodes.Getitem():
                return self.item(node, self.shape(node.node, scope, depth))
            case nodes.Filter():
                return self.filter(node, scope, depth)
            case nodes.Test():
                if node.name not in USED_TESTS:
                    known = nearest(node.name, list(USED_TESTS))
                    self.note(node, node.name, f"there is no test '{node.name}'{known}; {_listed(USED_TESTS)}")
            case _ if not isinstance(node, _ALLOWED):
                self.note(node, "", f"a template for tasks cannot do this ({_said(node)}); it only shows values")
                return None
        for child in node.iter_child_nodes():
            self.shape(child, scope, depth)
        return None

    def loop(self, node: nodes.For, scope: Mapping[str, Shape], depth: int) -> Shape:
        over = self.shape(node.iter, scope, depth)
        if not isinstance(node.target, nodes.Name) or node.recursive or depth >= DEEPEST_LOOP:
            self.note(node, "", f"a loop has one name, and at most {DEEPEST_LOOP} loops stand in each other")
            return None
        if not _is_list(over):
            self.note(node, "", "a loop goes over a list, such as findings")
            return None
        assert isinstance(over, Sequence)
        inner = {**scope, node.target.name: over[0], "loop": LOOP}
        for one in [*node.body, *([node.test] if node.test else [])]:
            self.shape(one, inner, depth + 1)
        for one in node.else_:
            self.shape(one, scope, depth)
        return None

    def part(self, node: nodes.Node, name: str, of: Shape) -> Shape:
        if isinstance(of, Mapping):
            if name in of:
                return of[name]
            self.note(node, name, f"nothing here is called '{name}'{nearest(name, list(of))}; {_listed(of)}")
        elif not self.problems:
            self.note(node, name, f"'{name}' cannot be asked of a {'list' if _is_list(of) else 'plain value'}")
        return None

    def item(self, node: nodes.Getitem, of: Shape) -> Shape:
        wanted = node.arg.value if isinstance(node.arg, nodes.Const) else None
        if isinstance(of, Mapping) and isinstance(wanted, str):
            return self.part(node, wanted, of)
        if _is_list(of) and isinstance(wanted, int):
            assert isinstance(of, Sequence)
            return of[0]
        self.note(node, "", "write a number in [ ] after a list, such as findings[0]")
        return None

    def filter(self, node: nodes.Filter, scope: Mapping[str, Shape], depth: int) -> Shape:
        of = None if node.node is None else self.shape(node.node, scope, depth)
        for one in (*node.args, *node.kwargs):
            self.shape(one, scope, depth)
        if node.name not in USED_FILTERS or node.dyn_args is not None or node.dyn_kwargs is not None:
            known = nearest(node.name, list(USED_FILTERS))
            self.note(node, node.name, f"there is no filter '{node.name}'{known}; {_listed(USED_FILTERS)}")
        elif node.name in ("first", "last", "join") and not _is_list(of):
            self.note(node, node.name, f"'{node.name}' is for a list")
        elif node.name in ("first", "last"):
            assert isinstance(of, Sequence)
            return of[0]
        return None


def _is_list(shape: Shape) -> bool:
    return isinstance(shape, Sequence) and not isinstance(shape, str)


def _is_space(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(one, nodes.TemplateData) and not one.data.strip() for one in node.nodes
    )


def _listed(names: Mapping[str, Shape] | Sequence[str]) -> str:
    return f"there is {', '.join(sorted(names))}"


def _said(node: nodes.Node) -> str:
    return {"Call": "a call", "Mul": "*", "Pow": "**", "Mod": "%", "Assign": "set"}.get(
        type(node).__name__, type(node).__name__.lower()
    )
