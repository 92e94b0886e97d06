"""Every cell of the table of rights, judged; and what it has no room for: time, roles that change, bounds."""

from datetime import UTC, datetime, timedelta

import pytest
from harness.rights import ACTORS, EXPECTED, LAST, Cell, Scene, cells, new_scene, wanted
from warren.contract import commands as c
from warren.contract.codes import Code
from warren.contract.commands import Refused
from warren.contract.ids import direct_room, inbox_room, new_id
from warren_persistence.domain.judge import judge
from warren_persistence.domain.rights import may_read
from warren_persistence.domain.room import Room, apply

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
TABLE = cells()


def played(name: str, *, last: bool = False) -> tuple[Scene, Room]:
    scene, commands = new_scene(name, last=last)
    room = Room(scene.room)
    for command in commands:
        done(room, command)
    return scene, room


def done(room: Room, command: c.AnyCommand, now: datetime = NOW) -> None:
    event = judge(room, command, now)
    assert not isinstance(event, Refused), (command, event)
    apply(room, event)


def verdict(room: Room, command: c.AnyCommand, now: datetime = NOW) -> str:
    found = judge(room, command, now)
    return found.code if isinstance(found, Refused) else "ok"


def judged(cell: Cell) -> str:
    scene, room = played(cell.scene, last=cell.command in LAST)
    if cell.command != "read":
        return verdict(room, scene.command(cell))
    if cell.scene in ("inbox", "unknown"):  # rooms that the reader treats apart
        return "ok" if cell.actor == "owner" else "not_found"
    why = may_read(room.kind, room.standing(scene.people[cell.actor], NOW))
    return why[0] if why else "ok"


def test_no_cell_is_missing_and_none_is_there_twice() -> None:
    found = [(cell.scene, cell.command, cell.target, cell.actor) for cell in TABLE]
    assert len(found) == len(set(found))
    assert set(found) == wanted()
    assert {cell.expected for cell in TABLE} <= set(EXPECTED)


@pytest.mark.parametrize("scene", ACTORS)
def test_the_table(scene: str) -> None:
    wrong = [
        f"{cell}: {found}, not {cell.expected}"
        for cell in TABLE
        if cell.scene == scene and (found := judged(cell)) != cell.expected
    ]
    assert wrong == []


def test_a_ban_ends() -> None:
    scene, room = played("public")
    owner, member = scene.people["owner"], scene.people["member"]
    end = NOW + timedelta(hours=1)
    done(room, c.Ban(**by(room, owner), user=member, until=end))
    assert verdict(room, c.Join(**by(room, member)), end - timedelta(milliseconds=1)) == Code.FORBIDDEN
    assert verdict(room, c.Join(**by(room, member)), end) == "ok"
    assert verdict(room, c.Unban(**by(room, owner), user=member), end) == Code.NOT_FOUND
    assert may_read("public", room.standing(member, end)) is None


def test_a_mute_ends_and_outlasts_the_membership() -> None:
    scene, room = played("public")
    owner, member = scene.people["owner"], scene.people["member"]
    end = NOW + timedelta(hours=1)
    done(room, c.Mute(**by(room, owner), user=member, until=end))
    done(room, c.Leave(**by(room, member)))
    done(room, c.Join(**by(room, member)))
    assert verdict(room, c.Send(**by(room, member), text="hi"), end - timedelta(milliseconds=1)) == Code.FORBIDDEN
    assert verdict(room, c.Send(**by(room, member), text="hi"), end) == "ok"
    assert verdict(room, c.Unmute(**by(room, owner), user=member), end) == Code.NOT_FOUND


@pytest.mark.parametrize("measure", [c.Ban, c.Mute])
def test_a_measure_must_end_after_it_begins(measure: type[c.Ban | c.Mute]) -> None:
    scene, room = played("public")
    command = measure(**by(room, scene.people["owner"]), user=scene.people["member"], until=NOW)
    assert verdict(room, command) == Code.INVALID


def test_a_ban_takes_the_role_and_the_membership_for_good() -> None:
    scene, room = played("public")
    owner, moderator = scene.people["owner"], scene.people["moderator"]
    done(room, c.Ban(**by(room, owner), user=moderator))
    done(room, c.Unban(**by(room, owner), user=moderator))
    assert verdict(room, c.Send(**by(room, moderator), text="hi")) == Code.FORBIDDEN
    done(room, c.Join(**by(room, moderator)))
    assert room.standing(moderator, NOW).role == "member"


def test_an_invitation_is_taken_back_or_declined() -> None:
    scene, room = played("private")
    owner, invited, other = scene.people["owner"], scene.people["invited"], scene.two["invited"]
    done(room, c.Remove(**by(room, owner), user=invited))
    assert verdict(room, c.Join(**by(room, invited))) == Code.NOT_FOUND
    done(room, c.Leave(**by(room, other)))
    assert verdict(room, c.Join(**by(room, other))) == Code.NOT_FOUND


def test_owners_are_counted_through_everything_that_befalls_them() -> None:
    scene, room = played("public")
    owner, moderator = scene.people["owner"], scene.people["moderator"]
    assert room.owners == 2
    done(room, c.Leave(**by(room, scene.two["owner"])))
    assert room.owners == 1
    done(room, c.SetRole(**by(room, owner), user=moderator, role="owner"))
    done(room, c.SetRole(**by(room, owner), user=owner, role="member"))
    assert room.owners == 1
    assert verdict(room, c.Leave(**by(room, moderator))) == Code.FORBIDDEN


def test_who_is_in_as_many_rooms_as_one_may_be_comes_into_no_more() -> None:
    full = {"ann"}
    create = c.CreateRoom(**by(Room("a"), "ann"), kind="public", title="A")
    assert judged_full(Room("a"), create, full) == Code.FORBIDDEN
    scene, room = played("public")
    assert judged_full(room, c.Join(**by(room, "ann")), full) == Code.FORBIDDEN
    assert judged_full(room, c.Join(**by(room, scene.people["stranger"])), full) == "ok"
    for one, other in (("ann", "bob"), ("bob", "ann")):
        direct = Room(direct_room(one, other))
        assert judged_full(direct, c.CreateDirect(**by(direct, one), user=other), full) == Code.FORBIDDEN


def test_a_direct_room_is_that_of_its_two_people_and_there_once() -> None:
    right, wrong = Room(direct_room("ann", "bob")), Room(direct_room("ann", "eve"))
    assert verdict(wrong, c.CreateDirect(**by(wrong, "ann"), user="bob")) == Code.INVALID
    done(right, c.CreateDirect(**by(right, "bob"), user="ann"))
    assert verdict(right, c.CreateDirect(**by(right, "ann"), user="bob")) == Code.EXISTS
    alone = Room(direct_room("ann", "ann"))
    assert verdict(alone, c.CreateDirect(**by(alone, "ann"), user="ann")) == Code.INVALID


def test_a_notice_goes_into_an_inbox_and_nowhere_else() -> None:
    about = {"what": "member.invited", "of_room": "a", "of_seq": 3, "kind": "public", "title": "A"}
    inbox = Room(inbox_room("ann"))
    for number in (1, 2):
        done(inbox, c.Notify.model_validate({**by(inbox, "bob"), **about}))
        assert (inbox.head, inbox.number) == (number, number)
    _, room = played("public")
    assert verdict(room, c.Notify.model_validate({**by(room, "bob"), **about})) == Code.NOT_FOUND


def test_what_one_may_not_know_is_refused_in_the_words_for_what_does_not_exist() -> None:
    for name in ("private", "private archived", "direct", "inbox"):
        scene, room = played(name)
        for cell in TABLE:
            if cell.scene == name and cell.actor == "stranger" and cell.command not in ("read", "create"):
                command = scene.command(cell)
                assert judge(room, command, NOW) == judge(Room("nobodys"), command, NOW), cell


def by(room: Room, sender: str) -> c.Common:
    return {"id": new_id(), "room": room.name, "sender": sender, "name": sender, "key": new_id()}


def judged_full(room: Room, command: c.AnyCommand, full: set[str]) -> str:
    found = judge(room, command, NOW, full)
    return found.code if isinstance(found, Refused) else "ok"
