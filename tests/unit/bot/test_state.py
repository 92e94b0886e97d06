"""What a bot's file holds after the power was cut: some of the last changes may be gone, each as a whole."""

import shutil
from pathlib import Path

from warren.bot.api.position import Position
from warren.bot.api.state import Memory

CHANGES = 40


def test_what_is_lost_with_the_power_is_lost_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bot.db"
    memory = Memory(file)
    for number in range(1, CHANGES + 1):
        memory.keep({"count": number, f"by/{number}": number}, "room", Position("e", number))
    log = file.with_name("bot.db-wal")
    found = [kept(cut(file, tmp_path / f"{part}", log.stat().st_size * part // 100)) for part in range(101)]
    memory.close()
    assert found == sorted(found)
    assert found[-1] == CHANGES
    assert len(set(found)) > 10


def cut(file: Path, folder: Path, size: int) -> Path:
    """Return a copy of the file of which the disk has so many bytes of what was written last."""
    folder.mkdir()
    copy = Path(shutil.copy(file, folder))
    copy.with_name("bot.db-wal").write_bytes(file.with_name("bot.db-wal").read_bytes()[:size])
    return copy


def kept(file: Path) -> int:
    """Return how many changes are in the file, having looked that none is there by half."""
    memory = Memory(file)
    count: int = memory.lookup("count") if memory.select("count") else 0
    seq = memory.position("room").seq
    assert (seq or 0) == count
    assert memory.select("by/") == {f"by/{number}": number for number in range(1, count + 1)}
    memory.close()
    return count
