"""The Reader over a folder of exports."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from stagesync.connectors.exports.cells import typed
from stagesync.connectors.exports.folder import ExportFile, Folder, nearest, open_file
from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.names import alike, plain
from stagesync.connectors.exports.problems import Problems, RowProblem
from stagesync.connectors.exports.remarks import Unread, said_of_footer, said_of_headers
from stagesync.errors import ConfigurationError, ConnectionFailed
from stagesync.model.crm import Identity, NativeStage, Owner
from stagesync.model.frames import POLARS, Page
from stagesync.model.tables import ColumnType, Missing, Table

LONGEST_FIRST = 80


class ExportReader:
    """Reads a folder in which each file is a table.

    A table is found by its file's stem and a column by its header, whatever their case. After ``pull``,
    ``problems`` are the rows that could not be read (the first hundred of each file) and ``unreadable`` counts all.
    """

    crm = "export"
    increments = None

    def __init__(self, folder: Path, style: ExportFormat) -> None:
        """Raises ConfigurationError for a folder without tables and for a format that makes no sense."""
        self._folder = Folder.open(folder)
        self._style = style
        self._files: dict[Path, ExportFile] = {}
        self._passes: dict[str, Problems] = {}
        self._remarks: dict[str, list[str]] = {}
        _check(style)

    @property
    def problems(self) -> Sequence[RowProblem]:
        """Rows that were left out, by file and line."""
        return [problem for one in self._passes.values() for problem in one.shown]

    @property
    def unreadable(self) -> Mapping[str, int]:
        """How many rows of each table were left out; tables without such rows are not named."""
        return {table: one.total for table, one in self._passes.items() if one.total}

    @property
    def remarks(self) -> Sequence[str]:
        """What else was not read or may be meant otherwise, in words: cells, headers that stand twice, footers."""
        return [said for one in self._remarks.values() for said in one]

    def identity(self) -> Identity:
        """An export is known by the name of its folder."""
        name = self._folder.path.resolve().name or "export"
        # A name that is no text would break every report.
        name = name.encode("utf-8", "replace").decode()
        return Identity(crm=self.crm, key=name, name=name, url="")

    def stages(self, object_name: str, stage_field: str) -> Sequence[NativeStage]:  # noqa: ARG002
        """None: an export does not say which stages there are."""
        return ()

    def owners(self) -> Sequence[Owner]:
        """None: an export does not say who is active."""
        return ()

    def missing(self, tables: Sequence[Table]) -> Sequence[Missing]:
        """Columns without a file or without a header, each with the reason."""
        found = [Missing(table=table.name, columns=self._absent(table)) for table in tables]
        return [missing for missing in found if missing.columns]

    def labels(self, table: Table) -> Mapping[str, str]:  # noqa: ARG002
        """None: headers are all that there is."""
        return {}

    def pull(self, table: Table) -> Generator[Page, None, None]:
        """All rows; a table with a file and a column yields one page at least, so that it is known to be there."""
        path = self._folder.file(table.name)
        if path is None:
            return
        file = self._file(path)
        headers = _headers(file.columns)
        wanted = {name: kind for name, kind in _wanted(table).items() if _header(table, name) in headers}
        if not wanted:
            return
        stand = {name: headers[_header(table, name)] for name in wanted}
        problems = self._passes[table.name] = Problems(file=path.name)
        unread = Unread()
        any_page = False
        try:
            for raw in file.pages(list(dict.fromkeys(stand.values())), problems):
                any_page = True
                named = _not_blank(raw.select(pl.col(header).alias(name) for name, header in stand.items()))
                rows = typed(named, wanted, self._style)
                unread.note(named, rows, wanted)
                yield Page(table=table.name, rows=rows)
        except OSError as error:
            raise ConnectionFailed(f"{path.name} cannot be read: {error.strerror}") from error
        self._remarks[table.name] = [
            *said_of_headers(path.name, file.columns, list(stand.values())),
            *said_of_footer(path.name, problems.footer),
            *unread.said(path.name, table, self._style),
        ]
        if not any_page:
            schema = {name: POLARS[kind] for name, kind in wanted.items()}
            yield Page(table=table.name, rows=pl.DataFrame(schema=schema))

    def current(self, table: Table, ids: Sequence[str]) -> pl.DataFrame:
        """These records as the file has them."""
        wanted = list(ids)
        pages = [page.rows.filter(pl.col(table.key).is_in(wanted)) for page in self.pull(table)]
        return pl.concat(pages, how="diagonal") if pages else pl.DataFrame(schema=_schema(table))

    def own_tasks(self, keys: Sequence[str], records: Sequence[str] = ()) -> Mapping[str, str]:  # noqa: ARG002
        """None: nothing is ever written to an export."""
        return {}

    def close(self) -> None:
        """Nothing is held open."""

    def _absent(self, table: Table) -> dict[str, str]:
        path = self._folder.file(table.name)
        if path is None:
            return dict.fromkeys(_wanted(table), self._folder.absent(table.name))
        headers = _headers(self._file(path).columns)
        if not headers:
            return dict.fromkeys(_wanted(table), f"{path.name} is empty")
        wanted = {name: table.headers.get(name, name) for name in _wanted(table)}
        absent = {name: header for name, header in wanted.items() if alike(header) not in headers}
        hints = {name: nearest(header, headers.values()) for name, header in absent.items()}
        if len(absent) == len(wanted) and not any(hints.values()):
            first = ", ".join(map(plain, self._file(path).columns))
            first = first if len(first) <= LONGEST_FIRST else first[:LONGEST_FIRST] + "…"
            hints = dict.fromkeys(absent, f", nor any other that is named; its first line was read as headers: {first}")
        return {name: f"{path.name} has no column {header}{hints[name]}" for name, header in absent.items()}

    def _file(self, path: Path) -> ExportFile:
        if path not in self._files:
            self._files[path] = open_file(path, self._style)
        return self._files[path]


def _wanted(table: Table) -> dict[str, ColumnType]:
    return {table.key: ColumnType.TEXT, **table.columns}


def _not_blank(raw: pl.DataFrame) -> pl.DataFrame:
    """The rows in which a cell that is read says something; spreadsheets leave rows of nothing below their tables."""
    says = [_says(name, kind) for name, kind in raw.schema.items()]
    # Mostly every row has what its first column asks for: its id.
    return raw if raw.select(says[0].all()).item() else raw.filter(pl.any_horizontal(says))


def _says(name: str, kind: pl.DataType) -> pl.Expr:
    says = pl.col(name).is_not_null()
    return says & (pl.col(name).str.strip_chars() != "") if kind == pl.String else says


def _header(table: Table, name: str) -> str:
    """Under which header a column stands, as ``_headers`` has it."""
    return alike(table.headers.get(name, name))


def _schema(table: Table) -> dict[str, pl.DataType]:
    return {name: POLARS[kind] for name, kind in _wanted(table).items()}


def _headers(columns: Sequence[str]) -> dict[str, str]:
    """Headers by what makes them alike to those that a mapping names. Of two that are alike the first one stands."""
    return {alike(name): name for name in reversed(columns) if name}


def _check(style: ExportFormat) -> None:
    try:
        ZoneInfo(style.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"there is no time zone '{style.time_zone}'; Europe/Berlin is one") from error
    if style.delimiter in ('"', "\r", "\n"):
        raise ConfigurationError("cells cannot be delimited by quotation marks or line breaks")
    for pattern in (*style.dates, *style.datetimes):
        try:
            pl.select(pl.lit("2024-01-31").str.strptime(pl.Datetime("us"), pattern, strict=False))
        except pl.exceptions.PolarsError as error:
            said = f"'{pattern}' is not a format of strptime; '%d.%m.%Y' and '%d.%m.%Y %H:%M' are"
            raise ConfigurationError(said) from error
