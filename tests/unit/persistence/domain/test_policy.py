"""Every cell of the table of rights, judged; and what it has no room for: time, roles that change, bounds."""

from datetime import UTC, datetime, timedelta

import pytest
from harness.rights import ACTORS, EXPECTED, LAST, Cell, Scene, cells, new_scene, wanted
from warren.contract import commands as c
from warren.contract.codes import Code
from warren.contract.commands import Refused
from warren.contract.ids import direct_room, inbox_room, new_id
from warren_persistence.domain.decide import apply, decide
from warren_persistence.domain.facts import NO_FACTS, Facts
from warren_persistence.domain.notices import recipient
from warren_persistence.domain.policy import may_read
from warren_persistence.domain.room import Room

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
TABLE = cells()


def played(name: str, *, last: bool = False) -> tuple[Scene, Room]:
    scene, commands = new_scene(name, last=last)
    room = Room(scene.room)
    for command in commands:
        if command.room == scene.room:
            done(room, command)
    return scene, room


def done(room: Room, command: c.AnyCommand, now: datetime = NOW) -> None:
    event = decide(room, command, now)
    assert not isinstance(event, Refused), (command, event)
    apply(room, event)


def verdict(room: Room, command: c.AnyCommand, now: datetime = NOW, facts: Facts = NO_FACTS) -> str:
    found = decide(room, command, now, facts)
    return found.code if isinstance(found, Refused) else "ok"


def judged(cell: Cell) -> str:
    scene, room = played(cell.scene, last=cell.command in LAST)
    if cell.command != "read":
        return verdict(room, scene.command(cell), facts=Facts(blocks={scene.block} if scene.block else set()))
    if cell.scene in ("inbox", "unknown"):  # rooms that the reader treats apart
        return "ok" if cell.actor == "owner" else "not_found"
    why = may_read(room.kind, room.membership(scene.people[cell.actor], NOW))
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
    assert verdict(room, c.Unban(**by(room, owner), user=member), end) == Code.EXISTS
    assert may_read("public", room.membership(member, end)) is None


def test_a_mute_ends_and_outlasts_the_membership() -> None:
    scene, room = played("public")
    owner, member = scene.people["owner"], scene.people["member"]
    end = NOW + timedelta(hours=1)
    done(room, c.Mute(**by(room, owner), user=member, until=end))
    done(room, c.Leave(**by(room, member)))
    done(room, c.Join(**by(room, member)))
    assert verdict(room, c.Send(**by(room, member), text="hi"), end - timedelta(milliseconds=1)) == Code.FORBIDDEN
    assert verdict(room, c.Send(**by(room, member), text="hi"), end) == "ok"
    assert verdict(room, c.Unmute(**by(room, owner), user=member), end) == Code.EXISTS


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
    assert room.membership(moderator, NOW).role == "member"


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
    direct = Room(direct_room("ann", "bob"))
    assert judged_full(direct, c.CreateDirect(**by(direct, "ann"), user="bob"), full) == Code.FORBIDDEN


def test_a_direct_room_counts_against_who_opens_it() -> None:
    """Else anybody could fill anybody's rooms."""
    direct = Room(direct_room("ann", "bob"))
    assert judged_full(direct, c.CreateDirect(**by(direct, "bob"), user="ann"), {"ann"}) == "ok"
    done(direct, c.CreateDirect(**by(direct, "bob"), user="ann"))
    assert {user: membership.unasked for user, membership in direct.members.items()} == {"ann": NOW, "bob": None}


def test_a_direct_room_is_that_of_its_two_people_and_there_once() -> None:
    right, wrong = Room(direct_room("ann", "bob")), Room(direct_room("ann", "eve"))
    assert verdict(wrong, c.CreateDirect(**by(wrong, "ann"), user="bob")) == Code.INVALID
    done(right, c.CreateDirect(**by(right, "bob"), user="ann"))
    assert verdict(right, c.CreateDirect(**by(right, "ann"), user="bob")) == Code.EXISTS
    alone = Room(direct_room("ann", "ann"))
    assert verdict(alone, c.CreateDirect(**by(alone, "ann"), user="ann")) == Code.INVALID


def test_nobody_opens_a_direct_room_with_who_has_never_signed_in() -> None:
    room = Room(direct_room("ann", "bob"))
    create = c.CreateDirect(**by(room, "ann"), user="bob")
    assert verdict(room, create, facts=Facts(unknown={"bob"})) == Code.NOT_FOUND
    done(room, create)  # as it was possible before
    assert verdict(room, create, facts=Facts(unknown={"bob"})) == Code.EXISTS


def test_who_is_blocked_is_told_what_they_would_be_of_somebody_who_does_not_exist() -> None:
    blocked, unknown = Facts(blocks={("bob", "ann")}), Facts(unknown={"bob"})
    room = Room(direct_room("ann", "bob"))
    create = c.CreateDirect(**by(room, "ann"), user="bob")
    assert decide(room, create, NOW, blocked) == decide(room, create, NOW, unknown)
    assert verdict(room, c.CreateDirect(**by(room, "bob"), user="ann"), facts=blocked) == Code.FORBIDDEN
    done(room, create)
    assert verdict(room, create, facts=blocked) == Code.NOT_FOUND
    send = c.Send(**by(room, "ann"), text="hi")
    assert decide(room, send, NOW, blocked) == decide(Room("nobodys"), send, NOW)
    assert verdict(room, send) == "ok"


def test_a_block_is_ones_own_affair_and_ends() -> None:
    inbox = Room(inbox_room("ann"))
    block, unblock = (c.Block(**by(inbox, "ann"), user="bob"), c.Unblock(**by(inbox, "ann"), user="bob"))
    assert verdict(inbox, block, facts=Facts(unknown={"bob"})) == Code.NOT_FOUND
    assert verdict(inbox, c.Block(**by(inbox, "eve"), user="bob")) == Code.NOT_FOUND
    assert verdict(Room("a"), c.Block(**by(Room("a"), "ann"), user="bob")) == Code.NOT_FOUND
    assert verdict(inbox, c.Block(**by(inbox, "ann"), user="ann")) == Code.INVALID
    assert verdict(inbox, unblock) == Code.EXISTS
    done(inbox, block)
    assert verdict(inbox, block) == Code.EXISTS
    invited = {"what": "member.invited", "of_room": "a", "of_seq": 3, "kind": "public", "title": "A"}
    told = c.Notify.model_validate({**by(inbox, "bob"), **invited})
    assert verdict(inbox, told) == Code.FORBIDDEN
    assert verdict(inbox, told.model_copy(update={"what": "member.banned"})) == "ok"
    done(inbox, unblock)
    assert verdict(inbox, told) == "ok"
    assert inbox.number == 0


def test_a_direct_room_is_hidden_up_to_a_number_and_shown_again() -> None:
    inbox = Room(inbox_room("ann"))
    show = c.Show(**by(inbox, "ann"), user="bob")
    assert verdict(inbox, show) == Code.EXISTS
    for upto in (0, 12):
        done(inbox, c.Hide(**by(inbox, "ann"), user="bob", upto=upto))
        assert verdict(inbox, c.Hide(**by(inbox, "ann"), user="bob", upto=upto)) == Code.EXISTS
    done(inbox, c.Block(**by(inbox, "ann"), user="bob"))
    done(inbox, c.Unblock(**by(inbox, "ann"), user="bob"))
    assert inbox.membership("bob", NOW).hidden == 12
    done(inbox, show)
    assert inbox.membership("bob", NOW).hidden is None
    assert verdict(inbox, c.Hide(**by(inbox, "eve"), user="bob", upto=1)) == Code.NOT_FOUND


def test_nobody_is_told_of_what_one_decides_about_them() -> None:
    inbox = Room(inbox_room("ann"))
    for command in (c.Block(**by(inbox, "ann"), user="bob"), c.Hide(**by(inbox, "ann"), user="bob", upto=1)):
        event = decide(inbox, command, NOW)
        assert not isinstance(event, Refused)
        assert recipient(event) is None


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
                assert decide(room, command, NOW) == decide(Room("nobodys"), command, NOW), cell


def by(room: Room, sender: str) -> c.Common:
    return {"id": new_id(), "room": room.name, "sender": sender, "name": sender, "key": new_id()}


def judged_full(room: Room, command: c.AnyCommand, full: set[str]) -> str:
    found = decide(room, command, NOW, Facts(full=full))
    return found.code if isinstance(found, Refused) else "ok"
