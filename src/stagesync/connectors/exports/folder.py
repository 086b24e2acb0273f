"""Which files of a folder are tables, and what they are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from stagesync.connectors.exports.csv_rows import CsvFile
from stagesync.connectors.exports.format import ExportFormat
from stagesync.connectors.exports.json_rows import JsonFile
from stagesync.connectors.exports.names import alike, plain
from stagesync.connectors.exports.parquet_rows import ParquetFile
from stagesync.errors import ConfigurationError, ConnectionFailed

READ = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".json")
LEAST = ".json"
"""Where another file is the same table, this one mostly says something about it."""
OTHERS = (".xlsx", ".xls", ".xlsm", ".ods", ".gz", ".zip")

ExportFile = CsvFile | JsonFile | ParquetFile


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of exports: files by lower-case stem; ``unread`` are files of kinds that are not read."""

    path: Path
    files: Mapping[str, tuple[Path, ...]]
    unread: Mapping[str, Path]

    @classmethod
    def open(cls, path: Path) -> Folder:
        """List a folder. Raises ConfigurationError when it is none, or holds no file that can be read."""
        try:
            found = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        except NotADirectoryError as error:
            raise ConfigurationError(f"'{path}' is a file; name the folder that holds the exported files") from error
        except FileNotFoundError as error:
            raise ConfigurationError(f"there is no folder '{path}'") from error
        except OSError as error:
            raise ConnectionFailed(f"the folder '{path}' cannot be read: {error.strerror}") from error
        files: dict[str, list[Path]] = defaultdict(list)
        for file in sorted(found, key=lambda file: file.suffix.lower() == LEAST):
            suffix, stem = file.suffix.lower(), alike(file.stem)
            if suffix in READ and (suffix != LEAST or stem not in files):
                files[stem].append(file)
        if not files:
            raise ConfigurationError(f"'{path}' holds no exported table; {', '.join(READ)} are read")
        return cls(
            path=path,
            files={stem: tuple(same) for stem, same in files.items()},
            unread={alike(file.stem): file for file in found if file.suffix.lower() in OTHERS},
        )

    def file(self, table: str) -> Path | None:
        """The file of a table. Raises ConfigurationError when two files claim to be it."""
        same = self.files.get(alike(table), ())
        if len(same) > 1:
            both = " and ".join(file.name for file in same)
            raise ConfigurationError(f"{both} are both the table '{table}'; leave one of them in '{self.path}'")
        return same[0] if same else None

    def absent(self, table: str) -> str:
        """Why there is no file for a table, in words."""
        other = self.unread.get(alike(table))
        if other is not None:
            return f"{other.name} cannot be read; save it as CSV"
        stems = [same[0].stem for same in self.files.values()]
        return f"the export has no file {table}.csv{nearest(table, stems)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean Stage?)`` for the nearest of the names that a folder or a file has, or an empty string."""
    found = {alike(one): plain(one) for one in known}
    matches = get_close_matches(alike(name), sorted(found), n=1, cutoff=0.6)
    return f" (did you mean {found[matches[0]]}?)" if matches else ""


def open_file(path: Path, style: ExportFormat) -> ExportFile:
    """Open one file by its suffix."""
    try:
        match path.suffix.lower():
            case ".parquet":
                return ParquetFile.open(path, style)
            case ".jsonl" | ".ndjson" | ".json":
                return JsonFile.open(path, style)
        return CsvFile.open(path, style)
    except OSError as error:
        raise ConnectionFailed(f"{path.name} cannot be read: {error.strerror}") from error
