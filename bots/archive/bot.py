"""Archives rooms: every event of their logs, in files of a day or so many events, without a gap.

The bot keeps no copy of what it hears: an event only tells it to look. What it writes it reads from the room's log,
after the last seq that is in a file, and a file is either there as a whole or not. So it may be killed at any moment.
"""

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from warren.bot import Bot, Event, Policy, Timer, Trigger

from bots.archive import files

GRACE = timedelta(minutes=1)
"""After midnight, until a day's last file is written: the writers' clocks may differ by that much."""


class Gap(Exception):
    """The room's log, as it was read, does not follow on what is archived. Nothing is written then."""


class Settings(BaseSettings):
    """`WARREN_ARCHIVE_…`. `rooms`: separated by commas. A file ends with the day (UTC), or with so many `events`."""

    model_config = SettingsConfigDict(env_prefix="WARREN_ARCHIVE_", frozen=True)

    rooms: str = "general"
    folder: Path = Path("archive")
    format: files.Format = "jsonl"
    events: int = Field(default=10_000, ge=1)
    state: str = "archive.db"


@dataclass(slots=True)
class Shelf:
    """Where a room's archive ends: `after` is the last seq in a file, `day` that of the event which follows."""

    folder: Path
    epoch: str
    after: int
    day: date | None = None


def archive(settings: Settings) -> Bot:
    """Return the bot."""
    # It never gives an event up: what cannot be written now (the disk is full) is tried again, and later ones wait.
    policy = Policy(tries=2**31, patience=math.inf, timeout=600, longest_wait=60)
    bot = Bot("archive", title="Archive", rooms=settings.rooms.split(","), since=0, state=settings.state, policy=policy)
    shelves: dict[str, Shelf] = {}

    async def shelf_of(event: Trigger) -> Shelf:
        if event.room not in shelves:
            shelves[event.room] = await _find_shelf(settings, event)
        return shelves[event.room]

    @bot.event(record=True)
    async def note(event: Trigger) -> None:
        shelf = await shelf_of(event)
        if event.seq <= shelf.after:
            return
        if shelf.day is None or _day(event) > shelf.day or event.seq - shelf.after >= settings.events:
            await _put_away(settings, shelf, event)
        if shelf.day is not None and event.state.get(f"closing/{event.room}") != shelf.day.isoformat():
            event.state.set(f"closing/{event.room}", shelf.day.isoformat())
            event.later(datetime.combine(shelf.day + timedelta(days=1), time(), UTC) + GRACE, close_day)

    @bot.timer
    async def close_day(timer: Timer) -> None:
        await _put_away(settings, await shelf_of(timer), timer)

    return bot


async def _find_shelf(settings: Settings, event: Trigger) -> Shelf:
    epoch = (await event.read(event.seq - 1, 1)).epoch
    folder = settings.folder / event.room / epoch
    found = await asyncio.to_thread(files.stretches, folder)
    return Shelf(folder, epoch, found[-1].last if found else 0)


async def _put_away(settings: Settings, shelf: Shelf, event: Trigger) -> None:
    """Write all files that are complete. Raises Gap, OSError, Refusal or Unavailable."""
    today = (event.now - GRACE).date()
    while True:
        events, more = await _next(settings, shelf, event)
        shelf.day = _day(events[0]) if events else None
        if not events or shelf.day is None or not (more or len(events) == settings.events or shelf.day < today):
            return
        found = [one.data for one in events]
        await asyncio.to_thread(files.write, shelf.folder, found, shelf.day, settings.format)
        shelf.after = events[-1].seq


async def _next(settings: Settings, shelf: Shelf, trigger: Trigger) -> tuple[list[Event], bool]:
    """Return the events of the next file as far as there are any, and whether some of a later day follow."""
    found: list[Event] = []
    while len(found) < settings.events:
        stretch = await trigger.read(shelf.after + len(found))
        if stretch.epoch != shelf.epoch:
            raise Gap(f"the log of {trigger.room} is another than before: restart the bot")
        for event in (Event(trigger.room, data) for data in stretch.events):
            if event.seq != shelf.after + len(found) + 1:
                raise Gap(f"{event.seq} follows on {shelf.after + len(found)} in {trigger.room}")
            if found and _day(event) > _day(found[0]):
                return found, True
            found.append(event)
            if len(found) == settings.events:
                break
        if not stretch.events:
            break
    return found, False


def _day(event: Event) -> date:
    return event.at.date()


if __name__ == "__main__":
    archive(Settings()).run()
