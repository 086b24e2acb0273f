"""Snapshots of a connection: one folder of Parquet files for each pull, made current in one atomic step.

A pull that is cut off leaves its folder behind, which the next pull removes; the current snapshot stays whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from stagesync.errors import StageSyncError
from stagesync.model.frames import POLARS, Page
from stagesync.model.tables import ColumnType, Missing, Table

ROWS_PER_FILE = 100_000
MANIFEST = "manifest.json"
CURRENT = "CURRENT"


class Mirror:
    """The mirror's folder, one sub-folder for each connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def replace(self, connection: str, label: str) -> Iterator[Snapshot]:
        """A new snapshot of a connection; it becomes current when the block ends without an error.

        ``label`` names the snapshot (the run's id). Raises StageSyncError when the disk cannot be written.
        """
        home = self.folder / quote(connection, safe="")
        with _writing(home):
            home.mkdir(parents=True, exist_ok=True)
            snapshot = Snapshot(_fresh(home, quote(label, safe="")))
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
        try:
            wanted = {name: of for name, of in manifest["tables"].items() if only is None or name in only}
            rows = {name: _read(folder, name, columns) for name, columns in wanted.items()}
            return rows, manifest["missing"]
        except (OSError, TypeError, KeyError, AttributeError, ValueError, pl.exceptions.PolarsError) as error:
            raise _unreadable(home, error) from error

    def facts(self, connection: str) -> Mapping[str, Any]:
        """What the last complete pull noted besides the rows; empty before the first."""
        found = _current(self.folder / quote(connection, safe=""))
        noted: Mapping[str, Any] = found[1].get("facts", {}) if found is not None else {}
        return noted


def _current(home: Path) -> tuple[Path, dict[str, Any]] | None:
    try:
        folder = home / (home / CURRENT).read_text(encoding="utf-8")
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(home, error) from error
    if not isinstance(manifest, dict):
        raise _unreadable(home, ValueError("its manifest is not a mapping"))
    return folder, manifest


def _unreadable(home: Path, error: Exception) -> StageSyncError:
    return StageSyncError(f"the mirror {home} cannot be read: {error}; remove the folder and run again")


@contextmanager
def _writing(home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:  # polars says ComputeError for a full disk
        remedy = "free some space or change 'mirror' in the settings"
        said = getattr(error, "strerror", None) or error
        raise StageSyncError(f"the mirror {home} cannot be written: {said}; {remedy}") from error


def _fresh(home: Path, name: str) -> Path:
    """An empty folder for a snapshot; the current one is never reused, so that it stays whole until the end."""
    current = home / CURRENT
    if current.exists() and current.read_text(encoding="utf-8") == name:
        name += "~"
    folder = home / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


class Snapshot:
    """A snapshot in the making. Rows are written in files of about 100,000, so memory does not grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._schemas: dict[str, dict[str, pl.DataType]] = {}
        self._pending: dict[str, list[pl.DataFrame]] = {}
        self._files: dict[str, int] = {}
        self._missing: Sequence[Missing] = ()
        self.rows: dict[str, int] = {}
        self.facts: dict[str, Any] = {}
        """What else the pull brought and a later reader needs, as JSON: the owners, the moment."""

    def expect(self, tables: Sequence[Table], missing: Sequence[Missing]) -> None:
        """Declare the tables, so that one without a row is an empty table and not an absent one."""
        self._missing = missing
        absent = {entry.table: entry.columns for entry in missing}
        for table in tables:
            columns = {table.key: ColumnType.TEXT, **table.columns} if table.history_of is None else table.columns
            gone = absent.get(table.name, {})
            if table.key in gone:
                continue
            self._schemas[table.name] = {name: POLARS[kind] for name, kind in columns.items() if name not in gone}
            for link in table.links:
                self._schemas[f"{table.name}~{link}"] = {"from": pl.String(), "to": pl.String()}

    def add(self, page: Page) -> None:
        """Add rows of a table."""
        self.rows[page.table] = self.rows.get(page.table, 0) + page.rows.height
        pending = self._pending.setdefault(page.table, [])
        pending.append(page.rows)
        if sum(rows.height for rows in pending) >= ROWS_PER_FILE:
            self._flush(page.table)

    def finish(self) -> None:
        """Write what is pending, and the manifest."""
        for name in list(self._pending):
            self._flush(name)
        manifest = {
            "tables": {name: sorted(schema) for name, schema in self._schemas.items()},
            "missing": {entry.table: dict(entry.columns) for entry in self._missing},
            "facts": self.facts,
        }
        for name, schema in self._schemas.items():
            if name not in self._files:
                self._write(name, pl.DataFrame(schema=schema))
        (self.folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")

    def _flush(self, name: str) -> None:
        rows = self._pending.pop(name, [])
        if rows:
            self._write(name, pl.concat(rows, how="diagonal"))

    def _write(self, name: str, rows: pl.DataFrame) -> None:
        number = self._files[name] = self._files.get(name, 0) + 1
        self._schemas.setdefault(name, dict(rows.schema))
        with _writing(self.folder.parent):
            rows.write_parquet(self.folder / f"{quote(name, safe='')}.{number:05}.parquet", compression="lz4")


def _read(folder: Path, name: str, columns: Sequence[str]) -> pl.DataFrame:
    files = sorted(folder.glob(f"{quote(name, safe='')}.[0-9][0-9][0-9][0-9][0-9].parquet"))
    frames = [pl.read_parquet(file, glob=False) for file in files]
    rows = pl.concat(frames, how="diagonal")
    return rows.select(*columns, *(extra for extra in rows.columns if extra not in columns))
