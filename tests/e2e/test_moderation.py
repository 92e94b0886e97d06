"""Rooms, people and rights at the page: what moderators do there, and what those see to whom it is done."""

import re
from functools import partial

import pytest
from harness.concurrency import run_concurrently
from harness.resilient_client import fresh_room
from playwright.async_api import expect

from e2e.chat_page import COMPOSER, ChatPage
from e2e.conftest import Arrive, Meet
from e2e.registry import Guest, Registry

ATTACK = '<img src=x onerror="window.pwned=1"> **b** [x](javascript:y)'


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


@pytest.fixture
def private(meet: Meet) -> Meet:
    """Bring people to the page who are in a private room of the first one's."""
    return partial(meet, kind="private")


async def test_invited_by_name_accepted_and_talking(arrive: Arrive, registry: Registry, ui: str) -> None:
    guests = await registry.sign_in("Ana Ruiz", "Benedikt Okafor")
    await registry.found(fresh_room("known"), guests[1])  # nobody is known by name who was never in a room
    ana, ben = await run_concurrently(*(arrive(guest, at=ui) for guest in guests))
    room = await ana.create_private_room("Garden")
    await ana.invite("benedikt", await ben.id())
    await expect(ben.notice("member.invited")).to_contain_text("Ana Ruiz invites you to Garden")
    await expect(ben.room_item(room)).to_have_count(0)
    await ben.answer("member.invited", "accept")
    await ben.is_in(room)
    await expect(ben.notice("member.invited")).to_have_count(0)
    await ana.say("Welcome!")
    await ben.sees("Welcome!")
    await ben.say("Glad to be here")
    await ana.sees("Glad to be here")
    await expect(ana.notes("member.invited")).to_have_text("You invited Benedikt Okafor")
    await expect(ana.notes("member.joined")).to_have_text("Benedikt Okafor joined")
    await expect(ana.member(await ben.id())).to_have_attribute("data-role", "member")
    await expect(ana.panel.get_by_test_id("take-back")).to_have_count(0)
    await ben.page.reload()
    await ben.sees("Glad to be here")
    # What happened before he came, too: the log is the same for everybody in the room.
    await expect(ben.notes("member.invited")).to_contain_text("Ana Ruiz invited")
    await expect(ben.notes("member.joined")).to_contain_text("joined")


async def test_an_invitation_declined_and_one_taken_back(arrive: Arrive, registry: Registry) -> None:
    guests, room = await registry.sign_in("Ana Ruiz", "Ben Okafor"), fresh_room("closed")
    await registry.found(room, guests[0], kind="private")
    ana, ben = await run_concurrently(*map(arrive, guests))
    user = await ben.id()
    await ana.invite(user, user)
    await ben.page.reload()
    await ben.answer("member.invited", "decline")  # it waits, also over a reload
    await expect(ben.notice("member.invited")).to_have_count(0)
    await expect(ana.notes("member.left")).to_contain_text("declined the invitation")
    await expect(ana.panel.get_by_test_id("take-back")).to_have_count(0)
    await ana.invite(user, user)
    await ben.notice("member.invited").wait_for()
    await ana.panel.get_by_test_id("take-back").click()
    await expect(ben.notice("member.removed")).to_contain_text("Ana Ruiz took back the invitation to Garden")
    await expect(ben.notice("member.invited")).to_have_count(0)
    await ben.answer("member.removed", "dismiss")
    await expect(ben.page.get_by_test_id("notice")).to_have_count(0)
    await ben.page.reload()
    await ben.is_online()
    await expect(ben.page.get_by_text("You are in no room yet")).to_be_visible()
    await expect(ben.page.get_by_test_id("notice")).to_have_count(0)
    await expect(ben.room_item(room)).to_have_count(0)


async def invited(registry: Registry, ana: Guest, ben: Guest, *titles: str) -> list[str]:
    """Make private rooms of Ana's of these titles, to which Ben is invited."""
    rooms = [fresh_room("closed") for _ in titles]
    for room, title in zip(rooms, titles, strict=True):
        await registry.found(room, ana, kind="private", title=title)
        await registry.invite(room, ana, ben)
    return rooms


async def test_invitations_are_answered_on_another_device(arrive: Arrive, registry: Registry) -> None:
    ana, guest = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    orchard, meadow = await invited(registry, ana, guest, "Orchard", "Meadow")
    ben = await arrive(guest)
    await expect(ben.notice("member.invited")).to_have_count(2)
    about = re.compile(rf"/v1/rooms/{orchard}$")
    said = re.compile(rf"/v1/rooms/{orchard}/messages\?")
    # What he has asked for is there before he leaves: it would be refused, which a browser writes to its console.
    async with ben.page.expect_response(about), ben.page.expect_response(said):
        await registry.act(guest, "PUT", f"/{orchard}/members/me")
    await expect(ben.notice("member.invited")).to_have_count(1)
    await ben.is_in(orchard)
    await registry.act(guest, "DELETE", f"/{orchard}/members/me")
    await ben.is_out_of(orchard, "You left Orchard.")
    await expect(ben.notice("member.invited")).to_contain_text("Ana Ruiz invites you to Meadow")
    await registry.act(guest, "DELETE", f"/{meadow}/members/me")
    await expect(ben.page.get_by_test_id("notice")).to_have_count(0)


async def test_a_device_that_was_not_there_knows_which_invitations_are_open(arrive: Arrive, registry: Registry) -> None:
    ana, guest = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    rooms = await invited(registry, ana, guest, "Left", "Declined", "Removed", "Taken back", "Open")
    left, declined, removed, taken_back, _ = rooms
    for room in (left, removed):
        await registry.act(guest, "PUT", f"/{room}/members/me")
    for room in (left, declined):
        await registry.act(guest, "DELETE", f"/{room}/members/me")
    for room in (removed, taken_back):
        await registry.act(ana, "DELETE", f"/{room}/members/{guest.id}")
    ben = await arrive(guest)
    await expect(ben.notice("member.removed").filter(has_text="Ana Ruiz removed you from Removed")).to_have_count(1)
    await expect(ben.notice("member.removed").filter(has_text="took back the invitation to Taken")).to_have_count(1)
    await expect(ben.notice("member.invited").filter(has_text="Ana Ruiz invites you to Open")).to_have_count(1)
    await expect(ben.page.get_by_test_id("notice")).to_have_count(3)


async def test_the_removed_one_sees_the_notice_and_nothing_more(private: Meet) -> None:
    (ana, ben, cid), room = await private("Ana Ruiz", "Ben Okafor", "Cid Moss")
    user = await ben.id()
    await ana.say("Before")
    await run_concurrently(ben.sees("Before"), cid.sees("Before"))
    sockets: list[str] = []
    ben.page.on("websocket", lambda socket: sockets.append(socket.url) if socket.url.endswith("/v1/ws") else None)
    await ben.page.locator(COMPOSER).fill("I was about to say")
    await ana.do("remove", user)
    await ben.is_out_of(room, "You are no longer in Garden.")
    await expect(ben.notice("member.removed")).to_contain_text("Ana Ruiz removed you from Garden")
    await expect(cid.notes("member.removed")).to_contain_text("Ana Ruiz removed")
    await ana.say("After")
    await cid.sees("After")
    await expect(ben.page.get_by_text("After", exact=True)).to_have_count(0)
    await expect(ana.member(user)).to_have_count(0)
    await ben.page.reload()
    await ben.is_online()
    await expect(ben.notice("member.removed")).to_be_visible()
    await expect(ben.room_item(room)).to_have_count(0)
    await ben.answer("member.removed", "dismiss")
    await expect(ben.notice("member.removed")).to_have_count(0)
    assert len(sockets) == 1  # that of the reload: the removal itself ended no connection


async def in_two_rooms(arrive: Arrive, registry: Registry) -> tuple[Guest, ChatPage, str, str]:
    """Return Ana, who is elsewhere, and Ben at the page; a private room and then a public one of hers are his, too."""
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    closed, public = fresh_room("closed"), fresh_room("public")
    await registry.found(closed, ana, ben, kind="private")
    await registry.found(public, ana, ben, title="Open air")
    return ana, await arrive(ben), closed, public


async def test_removed_while_away(arrive: Arrive, registry: Registry) -> None:
    ana, ben, *rooms = await in_two_rooms(arrive, registry)
    await expect(ben.page.get_by_test_id("room-item")).to_have_count(2)
    await ben.page.close()
    for room in rooms:
        await registry.act(ana, "DELETE", f"/{room}/members/{await ben.id()}")
    ben.page = await ben.context.new_page()
    await ben.page.goto(ben.url)
    await ben.is_online()
    await expect(ben.notice("member.removed")).to_have_count(2)
    await expect(ben.page.get_by_test_id("room-item")).to_have_count(0)
    await ben.page.get_by_test_id("dismiss-all").click()
    await expect(ben.notice("member.removed")).to_have_count(0)


async def test_removed_while_the_network_is_away(arrive: Arrive, registry: Registry) -> None:
    ana, ben, closed, public = await in_two_rooms(arrive, registry)
    ben.in_outage = True
    await ben.page.evaluate("window.same = true")
    for room in (closed, public):
        await ben.open(room)
    await drop_connection(ben)
    for room in (closed, public):
        await registry.act(ana, "DELETE", f"/{room}/members/{await ben.id()}")
    await ben.context.set_offline(False)
    await ben.is_online()
    await ben.is_out_of(public, "You are no longer in Open air.")
    await expect(ben.room_item(closed)).to_have_count(0)
    await expect(ben.notice("member.removed")).to_have_count(2)
    assert await ben.page.evaluate("window.same") is True


async def drop_connection(person: ChatPage) -> None:
    """Cut the network, and wait until the page has noticed."""
    await person.context.set_offline(True)
    await person.page.evaluate("window.dispatchEvent(new Event('online'))")  # has it look for a sign of life
    await person.page.locator("[data-testid=status]:not([data-state=online])").wait_for()


async def test_ban_and_lift(meet: Meet) -> None:
    (ana, ben), room = await meet("Ana Ruiz", "Ben Okafor")
    user = await ben.id()
    await ana.do("ban", user, length="1 week", reason="Three times the same joke")
    await ben.is_out_of(room, "You are banned from Garden.")
    await expect(ben.notice("member.banned")).to_contain_text("Ana Ruiz banned you from Garden until ")
    await expect(ben.notice("member.banned")).to_contain_text("Reason: Three times the same joke")
    await expect(ana.notes("member.banned")).to_contain_text("You banned Ben Okafor until")
    ben.is_refused = True
    dialog = await ben.browse()
    await ben.found(room).get_by_test_id("take").click()
    await expect(dialog.get_by_text("banned from this room")).to_be_visible()
    await ben.page.keyboard.press("Escape")
    await ana.panel.locator(f"[data-testid=lift-row][data-user='{user}']").get_by_test_id("lift").click()
    await expect(ben.notice("member.unbanned")).to_contain_text("Ana Ruiz lifted your ban from Garden")
    await expect(ben.notice("member.banned")).to_have_count(0)
    await expect(ana.panel.get_by_test_id("lift")).to_have_count(0)
    await ben.join(room)
    await ben.say("I am back")
    await ana.sees("I am back")


async def test_a_mute_is_lifted_and_one_ends_by_itself(private: Meet) -> None:
    (ana, ben), room = await private("Ana Ruiz", "Ben Okafor")
    user = await ben.id()
    await ben.say("La la la")
    await ana.sees("La la la")
    await ana.do("mute", user, length="1 hour", reason="Quiet hours")
    await ben.may_not_write("You are muted here until ")
    await ben.may_not_write("Reason: Quiet hours")
    await expect(ben.notice("member.muted")).to_contain_text("Ana Ruiz muted you in Garden until")
    await ben.page.reload()
    await ben.is_in(room)
    await ben.may_not_write("Reason: Quiet hours")
    await ana.do("unmute", user)
    await ben.may_write()
    await expect(ben.notice("member.unmuted")).to_be_visible()
    await expect(ben.notice("member.muted")).to_have_count(0)
    await ben.say("Thank you")
    await ana.sees("Thank you")

    await ben.page.clock.install()
    await ana.do("mute", user, length="1 hour")
    await ben.may_not_write("You are muted here until")
    await ben.page.clock.fast_forward("59:00")
    await ben.may_not_write("You are muted here until")
    await ben.page.clock.fast_forward("01:00:00")
    await ben.may_write()


async def test_a_role_brings_its_actions_at_once(arrive: Arrive, registry: Registry) -> None:
    *guests, cid = await registry.sign_in("Ana Ruiz", "Ben Okafor", "Cid Moss")
    await registry.found(fresh_room("closed"), *guests, cid, kind="private")
    ana, ben = await run_concurrently(*map(arrive, guests))
    await ben.show_panel()
    await ben.member(cid.id).wait_for()
    await expect(ben.panel.get_by_test_id("title")).to_have_count(0)
    await expect(ben.panel.get_by_test_id("invite-search")).to_be_hidden()
    row = await ben.select(cid.id)
    await expect(row.get_by_test_id("talk")).to_be_visible()
    await expect(row.get_by_test_id("remove")).to_have_count(0)
    await ana.do("role-moderator", await ben.id())
    await expect(ben.notice("member.role")).to_contain_text("Ana Ruiz made you a moderator of Garden")
    await expect(row.get_by_test_id("remove")).to_be_visible()
    await expect(ben.panel.get_by_test_id("invite-search")).to_be_visible()
    await expect(ben.panel.get_by_test_id("archive")).to_have_count(0)
    owner = await ben.select(await ana.id())
    await expect(owner.get_by_test_id("remove")).to_have_count(0)  # not upon those above
    await ben.do("remove", cid.id)
    await expect(ana.notes("member.removed")).to_contain_text("Ben Okafor removed")
    await expect(ana.member(cid.id)).to_have_count(0)
    await ana.do("role-owner", await ben.id())
    await expect(ben.panel.get_by_test_id("archive")).to_be_visible()
    await expect((await ana.select(await ben.id())).get_by_test_id("remove")).to_have_count(0)


async def test_renamed_archived_restored_and_left_by_all_but_the_last_owner(private: Meet) -> None:
    (ana, ben), room = await private("Ana Ruiz", "Ben Okafor")
    panel = await ana.show_panel()
    await panel.get_by_test_id("title").fill("Orchard")
    await panel.get_by_test_id("rename").click()
    await expect(ben.page.locator(".warren h1")).to_have_text("Orchard")
    await expect(ben.room_item(room)).to_have_text("Orchard")
    await expect(ben.notes("room.renamed")).to_have_text("Ana Ruiz renamed the room to Orchard")
    await panel.get_by_test_id("archive").click()
    await panel.get_by_test_id("confirm").click()
    await run_concurrently(ana.may_not_write("This room is archived"), ben.may_not_write("This room is archived"))
    await ben.page.reload()
    await ben.is_in(room)
    await ben.may_not_write("This room is archived")
    await panel.get_by_test_id("restore").click()
    await run_concurrently(ana.may_write(), ben.may_write())
    await (await ben.show_panel()).get_by_test_id("leave").click()
    await ben.panel.get_by_test_id("confirm").click()
    await ben.is_out_of(room, "You left Orchard.")
    await expect(ana.notes("member.left")).to_have_text("Ben Okafor left")
    await expect(ben.page.get_by_test_id("notice")).to_have_count(0)

    ana.is_refused = True
    await panel.get_by_test_id("leave").click()
    await panel.get_by_test_id("confirm").click()
    await expect(panel.get_by_test_id("problem")).to_contain_text("The last owner")
    await ana.may_write()


async def test_a_form_that_is_being_filled_in_stays(arrive: Arrive, registry: Registry) -> None:
    (guest, ben), room = await registry.sign_in("Ana Ruiz", "Ben Okafor"), fresh_room("closed")
    await registry.found(room, guest, ben, kind="private")
    ana = await arrive(guest)
    row = await ana.select(ben.id)
    await row.get_by_test_id("ban").click()
    await row.get_by_test_id("reason").fill("Because")
    await registry.act(guest, "PUT", f"/{room}/members/{ben.id}", role="moderator")
    await registry.act(guest, "PATCH", f"/{room}", title="Orchard")
    await expect(ana.panel.get_by_test_id("title")).to_have_value("Orchard")
    await expect(ana.notes("member.role")).to_have_count(1)
    await expect(row.get_by_test_id("reason")).to_have_value("Because")
    await row.get_by_test_id("confirm").click()
    await expect(ana.notes("member.banned")).to_contain_text("Because")


async def test_markup_in_titles_reasons_and_names_stays_text(arrive: Arrive, registry: Registry) -> None:
    guests, room = await registry.sign_in("Ana Ruiz", "<b>Eve</b> **x**"), fresh_room("xss")
    await registry.found(room, *guests, title=ATTACK)
    ana, eve = await run_concurrently(*map(arrive, guests))
    user = await eve.id()
    await eve.say("hello")
    await ana.sees("hello")
    await ana.do("mute", user, length="For ever", reason=ATTACK)
    await eve.may_not_write(f"Reason: {ATTACK}")
    await expect(eve.notice("member.muted")).to_contain_text(f"Ana Ruiz muted you in {ATTACK}")
    await expect(ana.notes("member.muted")).to_contain_text(f"<b>Eve</b> **x**: {ATTACK}", use_inner_text=True)
    await expect(ana.member(user).locator(".name")).to_have_text("<b>Eve</b> **x**")
    panel = await ana.show_panel()
    await panel.get_by_test_id("title").fill(f"{ATTACK} again")
    await panel.get_by_test_id("rename").click()
    await expect(eve.page.locator(".warren h1")).to_have_text(f"{ATTACK} again")
    await ana.do("ban", user, reason=ATTACK)
    await eve.is_out_of(room, ATTACK)
    await expect(eve.notice("member.banned")).to_contain_text(f"Reason: {ATTACK}")
    for person in (ana, eve):
        assert await person.page.evaluate("window.pwned") is None
        await expect(person.page.locator(".warren :is(img, script, b b, i:not(.loading i))")).to_have_count(0)


async def test_by_keyboard_alone(arrive: Arrive, registry: Registry) -> None:
    guest, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    await registry.found(fresh_room("closed"), guest, ben, kind="private")
    ana = await arrive(guest)
    await ana.show_panel()
    await ana.page.get_by_test_id("panel-close").click()
    await ana.page.get_by_test_id("panel-toggle").focus()
    await ana.page.keyboard.press("Enter")
    await expect(ana.panel.locator("h2")).to_be_focused()
    await ana.member(ben.id).get_by_test_id("actions").focus()
    await ana.page.keyboard.press("Enter")
    await ana.member(ben.id).get_by_test_id("mute").focus()
    await ana.page.keyboard.press("Enter")
    await expect(ana.member(ben.id).get_by_test_id("length")).to_be_focused()
    await ana.page.keyboard.press("Escape")
    await expect(ana.page.get_by_test_id("measure")).to_have_count(0)
    await ana.page.keyboard.press("Escape")
    await ana.page.keyboard.press("Escape")
    await expect(ana.panel).to_be_hidden()
    await expect(ana.page.get_by_test_id("panel-toggle")).to_be_focused()
