"""The archive's files: each holds consecutive events of one room's log, and says in its name which.

`<room>/<epoch>/2026-11-23.000000000001-000000000500.jsonl`: the day on which it begins, its first and its last seq. So
the files are the cursor, and whoever looks at the names alone sees whether one is missing.

`python -m bots.archive.files FOLDER` checks a whole archive.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

Event = dict[str, Any]
Format = Literal["jsonl", "parquet"]
_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.(\d{12})-(\d{12})\.(jsonl|parquet)")


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """One file."""

    first: int
    last: int
    path: Path


def stretches(folder: Path) -> list[Stretch]:
    """Return the files of a room's log, in order. What is no file of the archive is passed over."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("*"))
    return sorted(Stretch(int(name[2]), int(name[3]), path) for name, path in found if name)


def write(folder: Path, events: Sequence[Event], day: date, form: Format) -> Path:
    """Write consecutive events as one file: it is there as a whole, and on the disk, or not at all."""
    first, last = events[0]["seq"], events[-1]["seq"]
    path = folder / f"{day.isoformat()}.{first:012d}-{last:012d}.{form}"
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{path.name}.tmp"
    _WRITE[form](draft, events)
    _sync(draft)
    draft.replace(path)
    _sync(folder)
    return path


def read(path: Path) -> list[Event]:
    """Return the events of a file."""
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    from pyarrow import parquet  # noqa: PLC0415 - whoever archives JSON lines needs none of it

    column = parquet.read_table(path, columns=["event"])["event"]
    return [json.loads(event) for event in column.to_pylist()]


def wrong(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files of one room's log: gaps, overlaps, files that are not what their name says."""
    after = 0
    for stretch in stretches(folder):
        if stretch.first != after + 1:
            yield f"{stretch.path}: begins at {stretch.first}, after {after}"
        try:
            seqs = [event["seq"] for event in read(stretch.path)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield f"{stretch.path}: cannot be read: {error}"
        else:
            if seqs != list(range(stretch.first, stretch.last + 1)):
                yield f"{stretch.path}: does not hold what its name says"
        after = stretch.last


def _write_lines(path: Path, events: Sequence[Event]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events)


def _write_parquet(path: Path, events: Sequence[Event]) -> None:
    """Write what one asks for most as columns, and each event as JSON beside them, whatever its type."""
    import pyarrow  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    columns: dict[str, list[Any]] = {
        name: [event.get(name) for event in events]
        for name in ("seq", "number", "reply_to", "type", "sender", "name", "user", "at", "text")
    }
    kinds = {"seq": pyarrow.int64(), "number": pyarrow.int64(), "reply_to": pyarrow.int64()}
    table = {name: pyarrow.array(values, kinds.get(name, pyarrow.string())) for name, values in columns.items()}
    table["event"] = pyarrow.array([json.dumps(event, ensure_ascii=False) for event in events], pyarrow.string())
    parquet.write_table(pyarrow.table(table), path)


_WRITE: dict[Format, Callable[[Path, Sequence[Event]], None]] = {"jsonl": _write_lines, "parquet": _write_parquet}


def _sync(path: Path) -> None:
    """Have the disk hold a file, or what a folder says is in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(root: Path) -> int:
    """Check an archive and print what is wrong; the exit code."""
    logs = sorted(folder for folder in root.glob("*/*") if folder.is_dir())
    found = [line for folder in logs for line in wrong(folder)]
    print("\n".join(found) or f"{len(logs)} logs, nothing wrong.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
