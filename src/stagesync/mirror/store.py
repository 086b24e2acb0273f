"""Snapshots of a connection: one folder of Parquet files for each pull, made current in one atomic step.

A snapshot begins empty, or table by table where the last one ended: the old files are linked, and only what changed
is written. Files are never written twice, so that a snapshot that others share files with stays what it was. A pull
that is cut off leaves its folder behind, which the next pull removes; the current snapshot stays whole, and with it
the cursors from which the next pull goes on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from stagesync.errors import StageSyncError
from stagesync.mirror.layers import COMPACT_SHARE, GONE, MOST_DELTAS, Layers, newest
from stagesync.model.frames import POLARS, Page
from stagesync.model.tables import ColumnType, Missing, Table

ROWS_PER_FILE = 100_000
BYTES_PENDING = 4_000_000
"""Wide rows are written in smaller files: what waits takes about five times as much memory until it is written."""
MANIFEST = "manifest.json"
CURRENT = "CURRENT"
FORMAT = 2
MARK = b"PAR1"
"""With it a Parquet file begins and ends."""


class Mirror:
    """The mirror's folder, one sub-folder for each connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def replace(self, connection: str, label: str, source: str = "") -> Iterator[Snapshot]:
        """A new snapshot of a connection; it becomes current when the block ends without an error.

        ``label`` names the snapshot (the run's id), ``source`` the org: nothing is taken over from a snapshot of
        another one. Raises StageSyncError when the disk cannot be written.
        """
        home = self.folder / quote(connection, safe="")
        before = _before(home, source)
        with _writing(home):
            home.mkdir(parents=True, exist_ok=True)
            snapshot = Snapshot(_fresh(home, quote(label, safe="")), source, before)
        # What goes wrong while a CRM is read is not the mirror's fault, so that it passes through as it is.
        yield snapshot
        with _writing(home):
            snapshot.finish()
            pointer = home / f"{CURRENT}.new"
            pointer.write_text(snapshot.folder.name, encoding="utf-8")
            os.replace(pointer, home / CURRENT)
        for other in home.iterdir():
            if other.is_dir() and other != snapshot.folder:
                shutil.rmtree(other, ignore_errors=True)

    def read(
        self, connection: str, only: Collection[str] | None = None
    ) -> tuple[Mapping[str, pl.DataFrame], Mapping[str, Mapping[str, str]]]:
        """Rows by table and missing columns by table, as of the last complete pull; empty before the first.

        With ``only`` the rows of other tables are not read.
        """
        home = self.folder / quote(connection, safe="")
        found = _current(home)
        if found is None:
            return {}, {}
        folder, manifest = found
        with _reading(home):
            tables = {name: Files(**of) for name, of in manifest["tables"].items() if only is None or name in only}
            return {name: _read(folder, files) for name, files in tables.items()}, manifest["missing"]

    def facts(self, connection: str) -> Mapping[str, Any]:
        """What the last complete pull noted besides the rows; empty before the first."""
        found = _current(self.folder / quote(connection, safe=""))
        noted: Mapping[str, Any] = found[1].get("facts", {}) if found is not None else {}
        return noted


@dataclass(kw_only=True)
class Files:
    """What the manifest says of one table: names of files, oldest first, and how they came about.

    ``parts`` says that a key has any number of rows; ``rows`` and ``keys`` count those of the base. ``shape`` is what
    was asked for; another one cannot be built upon. ``cursor`` is the reader's word for where changes go on, ``read``
    when the table was last read whole (ISO, UTC), ``last`` the number of the newest file.
    """

    columns: list[str]
    key: str = ""
    parts: bool = False
    shape: dict[str, Any] = field(default_factory=dict)
    base: list[str] = field(default_factory=list)
    deltas: list[str] = field(default_factory=list)
    rows: int = 0
    keys: int = 0
    changed: int = 0
    cursor: str | None = None
    read: str | None = None
    last: int = 0

    def layers(self, folder: Path) -> Layers:
        """The files in a folder."""
        return Layers(
            key=self.key,
            base=[folder / name for name in self.base],
            deltas=[folder / name for name in self.deltas],
            parts=self.parts,
        )


@dataclass(frozen=True, kw_only=True)
class Before:
    """The snapshot that a new one may be built upon."""

    folder: Path
    tables: Mapping[str, Files]
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Held:
    """A table of the last snapshot from which changes can go on: the cursor, and when it was read whole."""

    cursor: str
    read: str


def _current(home: Path) -> tuple[Path, dict[str, Any]] | None:
    """The current folder and its manifest; None before the first pull in today's format."""
    try:
        folder = home / (home / CURRENT).read_text(encoding="utf-8")
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(home, error) from error
    if not isinstance(manifest, dict):
        raise _unreadable(home, ValueError("its manifest is not a mapping"))
    return (folder, manifest) if manifest.get("format") == FORMAT else None


def _before(home: Path, source: str) -> Before | None:
    """What can be built upon; a snapshot that cannot be read, or of another org, is not."""
    try:
        found = _current(home)
        if found is None or found[1]["source"] != source:
            return None
        folder, manifest = found
        tables = {name: Files(**of) for name, of in manifest["tables"].items()}
        return Before(folder=folder, tables=tables, facts=manifest["facts"])
    except (StageSyncError, TypeError, KeyError, AttributeError):
        return None


def _unreadable(home: Path, error: Exception) -> StageSyncError:
    return StageSyncError(f"the mirror {home} cannot be read: {error}; remove the folder and run again")


@contextmanager
def _reading(home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, TypeError, KeyError, AttributeError, ValueError, pl.exceptions.PolarsError) as error:
        raise _unreadable(home, error) from error


@contextmanager
def _writing(home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:  # polars says ComputeError for a full disk
        remedy = "free some space, or name another folder by 'data' in the settings"
        said = getattr(error, "strerror", None) or error
        raise StageSyncError(f"the mirror {home} cannot be written: {said}; {remedy}") from error


def _fresh(home: Path, name: str) -> Path:
    """An empty folder for a snapshot; the current one is never reused, so that it stays whole until the end."""
    current = home / CURRENT
    if current.exists() and current.read_text(encoding="utf-8", errors="replace") == name:
        name += "~"
    folder = home / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


class Snapshot:
    """A snapshot in the making. Rows are written in files of at most about 100,000, so memory does not grow.

    A table is either read whole (``add``) or begins with what the last snapshot held (``keep``, then ``change``).
    """

    def __init__(self, folder: Path, source: str = "", before: Before | None = None) -> None:
        self.folder = folder
        self._source = source
        self._before = before
        self._tables: dict[str, Files] = {}
        self._schemas: dict[str, dict[str, pl.DataType]] = {}
        self._pending: dict[str, list[pl.DataFrame]] = {}
        self._missing: Sequence[Missing] = ()
        self._kept: set[str] = set()
        self.rows: dict[str, int] = {}
        """Rows read so far, by table."""
        self.facts: dict[str, Any] = {}
        """What else the pull brought and a later reader needs, as JSON: the owners, the moment."""

    @property
    def facts_before(self) -> Mapping[str, Any]:
        """The facts of the snapshot before; empty where there is none to build upon."""
        return self._before.facts if self._before else {}

    def expect(self, tables: Sequence[Table], missing: Sequence[Missing]) -> None:
        """Declare the tables, so that one without a row is an empty table and not an absent one."""
        self._missing = missing
        absent = {entry.table: entry.columns for entry in missing}
        for table in tables:
            columns = {table.key: ColumnType.TEXT, **table.columns} if table.history_of is None else table.columns
            gone = absent.get(table.name, {})
            if table.key in gone:
                continue
            found = {name: kind for name, kind in columns.items() if name not in gone}
            blind = [link for link in table.links if f"{table.name}~{link}" in absent]
            shape = {"key": table.key, "columns": found, "links": list(table.links), "history_of": table.history_of}
            shape |= {"blind": blind} if blind else {}
            self._declare(table.name, found, table.record, shape, parts=table.history_of is not None)
            for link in table.links:
                ends = {"from": ColumnType.TEXT, "to": ColumnType.TEXT}
                self._declare(f"{table.name}~{link}", ends, "from", parts=True)

    def held(self, table: str) -> Held | None:
        """Where changes of a table can go on: None when it was not read before, or with other columns."""
        files = self._before.tables.get(table) if self._before else None
        wanted = self._tables.get(table)
        if files is None or wanted is None or files.cursor is None or files.read is None:
            return None
        same = files.shape == wanted.shape and bool(files.shape)
        whole = all(self._is_whole(name) for name in (table, *self._links(table)))
        return Held(cursor=files.cursor, read=files.read) if same and whole else None

    def _links(self, table: str) -> list[str]:
        return [f"{table}~{link}" for link in self._tables[table].shape.get("links", ())]

    def _is_whole(self, table: str) -> bool:
        files = self._before.tables.get(table) if self._before else None
        if files is None or self._before is None or not files.key:
            return False
        return all(_is_complete(self._before.folder / name) for name in (*files.base, *files.deltas))

    def keep(self, table: str) -> None:
        """Begin a table and its associations with all that the last snapshot holds; ``held`` said that it is there."""
        for name in (table, *self._links(table)):
            self._keep(name)

    def _keep(self, table: str) -> None:
        assert self._before is not None
        files = self._before.tables[table]
        with _writing(self.folder.parent):
            for name in (*files.base, *files.deltas):
                _link(self._before.folder / name, self.folder / name)
        self._tables[table] = Files(**asdict(files))
        self._kept.add(table)
        self.rows.setdefault(table, 0)

    def mark(self, table: str, *, cursor: str | None, read: str | None) -> None:
        """Note where the next pull of a table goes on, and when it was last read whole (ISO, UTC)."""
        if table in self._tables:
            self._tables[table].cursor, self._tables[table].read = cursor, read

    def add(self, page: Page) -> None:
        """Add rows of a table that is read whole."""
        if page.anew:
            self._forget(page.table)
        self._collect(page.table, page.rows)

    def change(self, table: str, rows: pl.DataFrame) -> None:
        """Rows of a kept table that may have changed; what is held already costs nothing."""
        self._collect(table, rows.with_columns(pl.lit(value=False).alias(GONE)))

    def change_parts(self, table: str, keys: Sequence[str], rows: pl.DataFrame) -> None:
        """All parts that these keys of a kept table have; a key without a row has none (any more)."""
        files = self._tables[table]
        without = pl.DataFrame({files.key: pl.Series(keys, dtype=pl.String)}).join(rows, on=files.key, how="anti")
        entries = [
            frame.with_columns(pl.lit(value=gone).alias(GONE)) for frame, gone in ((rows, False), (without, True))
        ]
        self._collect(table, pl.concat(entries, how="diagonal"))

    def gone(self, table: str, keys: Sequence[str]) -> None:
        """Keys that a kept table no longer has; their associations go with them."""
        for name in (table, *self._links(table)):
            rows = pl.DataFrame({self._tables[name].key: pl.Series(keys, dtype=pl.String)})
            self._collect(name, rows.with_columns(pl.lit(value=True).alias(GONE)))

    def size(self, table: str) -> int:
        """About how many records a table is about: those of its base."""
        return self._tables[table].keys

    def keys_between(self, table: str, after: str, upto: str | None) -> set[str]:
        """The keys of a kept table above ``after`` and up to and with ``upto``, to the end without one."""
        self._flush(table)
        with _reading(self.folder.parent):
            return set(self._tables[table].layers(self.folder).keys_between(after, upto).to_list())

    def linked(self, table: str, to: Sequence[str]) -> pl.DataFrame:
        """The associations of a kept table that lead to these records: ``from`` and ``to``."""
        self._flush(table)
        with _reading(self.folder.parent):
            rows = self._tables[table].layers(self.folder).rows_with("to", pl.Series(to, dtype=pl.String))
        return rows.select("from", "to")

    def finish(self) -> None:
        """Write what is pending, and the manifest."""
        for name in list(self._pending):
            self._flush(name)
        for name in sorted(self._kept):
            with _reading(self.folder.parent):
                self._tidy(name)
        for name, schema in self._schemas.items():
            if not self._tables[name].base:
                self._tables[name].base.append(self._write(name, pl.DataFrame(schema=schema)))
        manifest = {
            "format": FORMAT,
            "source": self._source,
            "tables": {name: asdict(files) for name, files in self._tables.items()},
            "missing": {entry.table: dict(entry.columns) for entry in self._missing},
            "facts": self.facts,
        }
        (self.folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")

    def _declare(
        self,
        name: str,
        columns: Mapping[str, ColumnType],
        key: str,
        shape: Mapping[str, Any] | None = None,
        *,
        parts: bool,
    ) -> None:
        self._schemas[name] = {column: POLARS[kind] for column, kind in columns.items()}
        self._tables[name] = Files(columns=sorted(columns), key=key, parts=parts, shape=dict(shape or {}))

    def _forget(self, name: str) -> None:
        """Drop the rows of a table that is read whole."""
        self._pending.pop(name, None)
        self.rows[name] = 0
        if name in self._tables:
            files = self._tables[name]
            for part in files.base:
                (self.folder / part).unlink()
            files.base, files.rows = [], 0

    def _collect(self, name: str, rows: pl.DataFrame) -> None:
        self.rows[name] = self.rows.get(name, 0) + rows.height
        pending = self._pending.setdefault(name, [])
        pending.append(rows)
        if _much(pending):
            self._flush(name)

    def _flush(self, name: str) -> None:
        parts = self._pending.pop(name, [])
        if not parts:
            return
        if name not in self._tables:
            rows = pl.concat(parts, how="diagonal")
            self._tables[name] = Files(columns=sorted(rows.columns))
            self._schemas[name] = dict(rows.schema)
        files = self._tables[name]
        if name not in self._kept:
            rows = pl.concat(parts, how="diagonal")
            files.base.append(self._write(name, rows))
            files.rows += rows.height
            files.keys += rows[files.key].n_unique() if files.parts else rows.height
            return
        with _reading(self.folder.parent):
            news = files.layers(self.folder).news(newest(parts, files.key, parts=files.parts))
        if news.height:
            files.deltas.append(self._write(name, news))
            files.changed += news.height

    def _tidy(self, name: str) -> None:
        """Merge deltas that have grown: into the base, or at least into one."""
        files = self._tables[name]
        layers = files.layers(self.folder)
        if files.changed > COMPACT_SHARE * files.rows:
            old = [*files.base, *files.deltas]
            files.base, files.rows, files.keys = [], 0, 0
            for rows in layers.compacted(ROWS_PER_FILE):
                files.base.append(self._write(name, rows))
                files.rows += rows.height
                files.keys += rows[files.key].n_unique() if files.parts else rows.height
            files.deltas, files.changed = [], 0
        elif len(files.deltas) > MOST_DELTAS:
            old, over = files.deltas, layers.overlay()
            files.deltas, files.changed = [self._write(name, over)], over.height
        else:
            return
        for part in old:
            (self.folder / part).unlink()

    def _write(self, name: str, rows: pl.DataFrame) -> str:
        files = self._tables[name]
        files.last += 1
        file = f"{quote(name, safe='')}.{files.last:05}.parquet"
        with _writing(self.folder.parent):
            rows.write_parquet(self.folder / file, compression="lz4")
        return file


def _much(pending: Sequence[pl.DataFrame]) -> bool:
    """Whether these rows are a file."""
    rows = sum(part.height for part in pending)
    return rows >= ROWS_PER_FILE or sum(part.estimated_size() for part in pending) >= BYTES_PENDING


def _is_complete(file: Path) -> bool:
    """Whether a file is there to its end. One that a loss of power cut short or left full of zeros lacks the mark at
    an end; its table is read whole again."""
    try:
        with file.open("rb") as content:
            begins = content.read(len(MARK))
            content.seek(-len(MARK), os.SEEK_END)
            return begins == MARK == content.read()
    except OSError:
        return False


def _link(file: Path, link: Path) -> None:
    """The same file under another name; a copy where the file system knows no links."""
    try:
        os.link(file, link)
    except OSError:
        shutil.copyfile(file, link)


def _read(folder: Path, files: Files) -> pl.DataFrame:
    rows = files.layers(folder).read()
    return rows.select(*files.columns, *(extra for extra in rows.columns if extra not in files.columns))
