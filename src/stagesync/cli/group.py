"""A group of commands whose help page is read from top to bottom."""

from __future__ import annotations

import click


class Group(click.Group):
    """Lists its commands in the order in which they were added, each with the whole first paragraph of its help."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [*self.commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_paragraph(one)) for name, one in commands.items() if one is not None])


def _first_paragraph(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())
