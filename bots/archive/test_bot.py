"""The archive: every event once and in order, in whole files, whatever dies."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from warren.bot.api.chat import LogPage
from warren.bot.testing import Dialogue

from bots.archive import files
from bots.archive.bot import Settings, archive

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["jsonl", "parquet"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return Settings(rooms="room", folder=tmp_path, format=request.param, events=3)


def dialogue(settings: Settings) -> Dialogue:
    talk = Dialogue(archive(settings))
    talk.rooms.now = NOON
    return talk


def names(settings: Settings, room: str = "room") -> list[str]:
    return [one.path.stem for one in files.stretches(settings.folder / room / "memory")]


def archived(settings: Settings, room: str = "room") -> list[dict[str, Any]]:
    folder = settings.folder / room / "memory"
    assert list(files.wrong(folder)) == []
    return [event for one in files.stretches(folder) for event in files.read(one.path)]


async def test_a_file_is_written_when_there_are_so_many_events_and_when_the_day_is_over(settings: Settings) -> None:
    async with dialogue(settings) as talk:
        for number in range(4):
            await talk.says("ann", f"message {number} \N{GRINNING FACE}\n\u2028")
        assert names(settings) == ["2026-11-23.000000000001-000000000003"]
        await talk.passes(hours=12)
        assert len(names(settings)) == 1
        await talk.passes(minutes=1)
        assert names(settings)[1:] == ["2026-11-23.000000000004-000000000004"]
        assert archived(settings) == talk.rooms.logs["room"]
        assert await talk.quiet()


async def test_an_event_of_the_next_day_ends_the_file_of_the_day_before(settings: Settings) -> None:
    async with dialogue(settings) as talk:
        await talk.says("ann", "one")
        talk.rooms.now = NOON.replace(day=25)  # and the timer has not come yet
        await talk.says("ann", "two")
        assert names(settings) == ["2026-11-23.000000000001-000000000001"]
        await talk.passes(days=1)
        assert names(settings)[1:] == ["2026-11-25.000000000002-000000000002"]


async def test_all_is_archived_also_what_it_did_itself_and_what_came_before_it_and_of_types_to_come(
    settings: Settings,
) -> None:
    async with dialogue(settings) as talk:
        talk.rooms.add("room", event("ann", "before it was there"))
        await talk.joins(talk.bot.user)
        for _ in range(20):
            await talk.says("bot.other", "bots among themselves")
        talk.rooms.add("room", {**event("ann", ""), "type": "reaction.added", "emoji": "+1"})
        await talk.passes(days=2)
        await talk.restarts()
        await talk.passes(days=2)
        assert archived(settings) == talk.rooms.logs["room"]


async def test_rooms_are_archived_each_on_its_own(settings: Settings) -> None:
    async with dialogue(settings) as talk:
        for number in range(5):
            await talk.says("ann", str(number), room=("room", "other")[number % 2])
        await talk.passes(days=1)
        for room in ("room", "other"):
            assert archived(settings, room) == talk.rooms.logs[room]


async def test_killed_at_any_moment_it_goes_on_where_the_files_end(settings: Settings) -> None:
    async with dialogue(settings) as talk:
        for number in range(7):
            seq = await talk.says("ann", str(number))
            await talk.crashes()
            await talk.again(seq)
        await talk.passes(days=1)
        await talk.crashes()
        assert archived(settings) == talk.rooms.logs["room"]


async def test_without_its_state_a_new_process_goes_on_where_the_files_end(settings: Settings) -> None:
    async with dialogue(settings) as talk:
        for number in range(5):
            await talk.says("ann", str(number))
        log = talk.rooms.logs["room"]
    async with dialogue(settings) as talk:
        talk.rooms.logs["room"] = log
        await talk.restarts()
        assert len(names(settings)) == 1
        await talk.says("ann", "5")
        assert archived(settings) == log


async def test_a_disk_that_is_full_costs_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failures = files.write, iter([OSError("no space left")] * 3)

    def failing(*given: Any) -> Path:
        if error := next(failures, None):
            raise error
        return write(*given)

    monkeypatch.setattr(files, "write", failing)
    async with dialogue(settings) as talk:
        talk.bot.policy = type(talk.bot.policy)(tries=10, first_wait=0.001, longest_wait=0.001)
        for number in range(3):
            await talk.says("ann", str(number))
        assert archived(settings) == talk.rooms.logs["room"]
        assert talk.dead_letters == []


async def test_a_log_with_a_hole_is_never_written(settings: Settings) -> None:
    async with dialogue(settings) as talk:
        talk.bot.policy = type(talk.bot.policy)(tries=2, first_wait=0.001, longest_wait=0.001)
        whole = talk.rooms.read

        async def holey(room: str, after: int, limit: int = 500) -> LogPage:
            found = await whole(room, after, limit)
            return LogPage(found.epoch, found.head, [event for event in found.events if event["seq"] != 2])

        talk.rooms.read = holey  # type: ignore[method-assign]
        for number in range(4):
            await talk.says("ann", str(number))
        assert names(settings) == []
        assert {reason for _, _, reason in talk.dead_letters} == {"Gap('3 follows on 1 in room')"}


async def test_a_stretch_of_the_log_longer_than_one_answer_is_one_file(tmp_path: Path) -> None:
    settings = Settings(rooms="room", folder=tmp_path, events=1_200)
    async with dialogue(settings) as talk:
        for number in range(1_199):
            talk.rooms.add("room", event("ann", str(number)))
        await talk.says("ann", "the last")
        assert names(settings) == ["2026-11-23.000000000001-000000001200"]


def test_what_is_wrong_with_an_archive_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "room" / "epoch"
    for first in (1, 3, 5, 7):
        log = [{**event("ann", "x"), "seq": seq} for seq in (first, first + 1)]
        files.write(folder, log, NOON.date(), "jsonl")
    assert files.main(tmp_path) == 0
    one, two, three, four = (stretch.path for stretch in files.stretches(folder))
    two.unlink()
    three.write_text(three.read_text().replace('"seq":6', '"seq":5'))
    four.write_bytes(four.read_bytes()[:-5])
    (folder / ".2026-11-23.draft.tmp").write_text("half")
    assert files.main(tmp_path) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 logs, nothing wrong."
    assert f"{three}: begins at 5, after 2" in said
    assert f"{three}: does not hold what its name says" in said
    assert any(line.startswith(f"{four}: cannot be read") for line in said)
    assert len(said) == 4
    assert json.loads(one.read_text().splitlines()[0])["seq"] == 1


_SERIAL: Iterator[int] = iter(range(1_000_000))


def event(user: str, text: str) -> dict[str, Any]:
    at = "2026-11-23T12:00:00.000Z"
    return {"type": "message", "sender": user, "name": user, "key": f"k{next(_SERIAL)}", "at": at, "text": text}
