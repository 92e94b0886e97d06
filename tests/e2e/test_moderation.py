"""Rooms, people and rights at the page: what moderators do there, and what those see to whom it is done."""

from asyncio import gather

from e2e.conftest import Arrive
from e2e.person import COMPOSER, Person
from harness.member import bearer, fresh_room
from httpx import AsyncClient
from playwright.async_api import expect

ATTACK = '<img src=x onerror="window.pwned=1"> **b** [x](javascript:y)'


async def private_room(arrive: Arrive, *names: str, title: str = "Garden") -> tuple[list[Person], str]:
    """Bring Ana, who opens a private room, and others, who are invited and accept."""
    people = list(await gather(arrive("Ana Ruiz"), *(arrive(name) for name in names)))
    ana = people[0]
    room = await ana.create_private_room(title)
    for person in people[1:]:
        # Nobody is known by name who was never in a room: these are invited by id.
        await ana.invite(await person.id(), await person.id())
        await person.answer("member.invited", "accept")
        await person.is_in(room)
    return people, room


async def change(http: AsyncClient, gateway: str, person: Person, method: str, path: str, **body: object) -> None:
    """Do something as `person`, elsewhere than at the page."""
    headers = bearer(await person.token())
    answer = await http.request(method, f"{gateway}/v1/rooms/{path}", json=body or None, headers=headers)
    answer.raise_for_status()


async def test_invited_by_name_accepted_and_talking(arrive: Arrive) -> None:
    ana, ben = await gather(arrive("Ana Ruiz"), arrive("Benedikt Okafor"))
    await ben.create_room("So that he is known", fresh_room("known"))
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


async def test_an_invitation_declined_and_one_taken_back(arrive: Arrive) -> None:
    ana, ben = await gather(arrive("Ana Ruiz"), arrive("Ben Okafor"))
    room = await ana.create_private_room("Garden")
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


async def test_the_removed_one_sees_the_notice_and_nothing_more(arrive: Arrive) -> None:
    (ana, ben, cid), room = await private_room(arrive, "Ben Okafor", "Cid Moss")
    user = await ben.id()
    await ana.say("Before")
    await gather(ben.sees("Before"), cid.sees("Before"))
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


async def test_removed_while_away(arrive: Arrive, http: AsyncClient, gateways: list[str]) -> None:
    (ana, ben), room = await private_room(arrive, "Ben Okafor")
    open_room = fresh_room("open")
    await ana.create_room("Open air", open_room)
    await ben.join(open_room)
    await ben.page.close()
    for place in (room, open_room):
        await change(http, gateways[0], ana, "DELETE", f"{place}/members/{await ben.id()}")
    ben.page = await ben.context.new_page()
    await ben.page.goto(ben.url)
    await ben.is_online()
    await expect(ben.notice("member.removed")).to_have_count(2)
    await expect(ben.page.get_by_test_id("room-item")).to_have_count(0)
    await ben.page.get_by_test_id("dismiss-all").click()
    await expect(ben.notice("member.removed")).to_have_count(0)


async def test_removed_while_the_network_is_away(arrive: Arrive, http: AsyncClient, gateways: list[str]) -> None:
    (ana, ben), room = await private_room(arrive, "Ben Okafor")
    open_room = fresh_room("open")
    await ana.create_room("Open air", open_room)
    await ben.join(open_room)
    ben.in_outage = True
    await ben.page.evaluate("window.same = true")
    for place in (room, open_room):
        await ben.open(place)
    await drop_connection(ben)
    for place in (room, open_room):
        await change(http, gateways[0], ana, "DELETE", f"{place}/members/{await ben.id()}")
    await ben.context.set_offline(False)
    await ben.is_online()
    await ben.is_out_of(open_room, "You are no longer in Open air.")
    await expect(ben.room_item(room)).to_have_count(0)
    await expect(ben.notice("member.removed")).to_have_count(2)
    assert await ben.page.evaluate("window.same") is True


async def drop_connection(person: Person) -> None:
    """Cut the network, and wait until the page has noticed."""
    await person.context.set_offline(True)
    await person.page.evaluate("window.dispatchEvent(new Event('online'))")  # has it look for a sign of life
    await person.page.locator("[data-testid=status]:not([data-state=online])").wait_for()


async def test_ban_and_lift(arrive: Arrive) -> None:
    room = fresh_room("ban")
    ana, ben = await gather(arrive("Ana Ruiz"), arrive("Ben Okafor"))
    await ana.create_room("Garden", room)
    await ben.join(room)
    user = await ben.id()
    await ana.do("ban", user, length="1 week", reason="Three times the same joke")
    await ben.is_out_of(room, "You are banned from Garden.")
    await expect(ben.notice("member.banned")).to_contain_text("Ana Ruiz banned you from Garden until ")
    await expect(ben.notice("member.banned")).to_contain_text("Reason: Three times the same joke")
    await expect(ana.notes("member.banned")).to_contain_text("You banned Ben Okafor until")
    ben.is_refused = True
    dialog = await ben.browse()
    await ben.page.locator(f".st-key-join-{room} button").click()
    await expect(dialog.get_by_text("banned from this room")).to_be_visible()
    await ben.page.keyboard.press("Escape")
    await ana.panel.locator(f"[data-testid=lift-row][data-user='{user}']").get_by_test_id("lift").click()
    await expect(ben.notice("member.unbanned")).to_contain_text("Ana Ruiz lifted your ban from Garden")
    await expect(ben.notice("member.banned")).to_have_count(0)
    await expect(ana.panel.get_by_test_id("lift")).to_have_count(0)
    await ben.join(room)
    await ben.say("I am back")
    await ana.sees("I am back")


async def test_mute_and_unmute(arrive: Arrive) -> None:
    (ana, ben), room = await private_room(arrive, "Ben Okafor")
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


async def test_a_mute_ends_by_itself(arrive: Arrive) -> None:
    (ana, ben), _ = await private_room(arrive, "Ben Okafor")
    await ben.page.clock.install()
    await ana.do("mute", await ben.id(), length="1 hour")
    await ben.may_not_write("You are muted here until")
    await ben.page.clock.fast_forward("59:00")
    await ben.may_not_write("You are muted here until")
    await ben.page.clock.fast_forward("01:00:00")
    await ben.may_write()


async def test_a_role_brings_its_actions_at_once(arrive: Arrive) -> None:
    (ana, ben, cid), room = await private_room(arrive, "Ben Okafor", "Cid Moss")
    await ben.show_panel()
    await ben.member(await cid.id()).wait_for()
    await expect(ben.panel.get_by_test_id("title")).to_have_count(0)
    await expect(ben.panel.get_by_test_id("invite-search")).to_be_hidden()
    row = await ben.select(await cid.id())
    await expect(row.get_by_test_id("talk")).to_be_visible()
    await expect(row.get_by_test_id("remove")).to_have_count(0)
    await ana.do("role-moderator", await ben.id())
    await expect(ben.notice("member.role")).to_contain_text("Ana Ruiz made you a moderator of Garden")
    await expect(row.get_by_test_id("remove")).to_be_visible()
    await expect(ben.panel.get_by_test_id("invite-search")).to_be_visible()
    await expect(ben.panel.get_by_test_id("archive")).to_have_count(0)
    owner = await ben.select(await ana.id())
    await expect(owner.get_by_test_id("remove")).to_have_count(0)  # not upon those above
    await ben.do("remove", await cid.id())
    await cid.is_out_of(room, "You are no longer in Garden.")
    await ana.do("role-owner", await ben.id())
    await expect(ben.panel.get_by_test_id("archive")).to_be_visible()
    await expect((await ana.select(await ben.id())).get_by_test_id("remove")).to_have_count(0)


async def test_renamed_archived_restored_and_left(arrive: Arrive) -> None:
    (ana, ben), room = await private_room(arrive, "Ben Okafor")
    panel = await ana.show_panel()
    await panel.get_by_test_id("title").fill("Orchard")
    await panel.get_by_test_id("rename").click()
    await expect(ben.page.locator(".warren h1")).to_have_text("Orchard")
    await expect(ben.room_item(room)).to_have_text("Orchard")
    await expect(ben.notes("room.renamed")).to_have_text("Ana Ruiz renamed the room to Orchard")
    await panel.get_by_test_id("archive").click()
    await panel.get_by_test_id("confirm").click()
    await gather(ana.may_not_write("This room is archived"), ben.may_not_write("This room is archived"))
    await ben.page.reload()
    await ben.is_in(room)
    await ben.may_not_write("This room is archived")
    await panel.get_by_test_id("restore").click()
    await gather(ana.may_write(), ben.may_write())
    await (await ben.show_panel()).get_by_test_id("leave").click()
    await ben.panel.get_by_test_id("confirm").click()
    await ben.is_out_of(room, "You left Orchard.")
    await expect(ana.notes("member.left")).to_have_text("Ben Okafor left")
    await expect(ben.page.get_by_test_id("notice")).to_have_count(0)


async def test_a_refusal_is_said(arrive: Arrive) -> None:
    (ana,), _ = await private_room(arrive)
    ana.is_refused = True
    panel = await ana.show_panel()
    await panel.get_by_test_id("leave").click()
    await panel.get_by_test_id("confirm").click()
    await expect(panel.get_by_test_id("problem")).to_contain_text("The last owner")
    await ana.may_write()


async def test_a_form_that_is_being_filled_in_stays(arrive: Arrive, http: AsyncClient, gateways: list[str]) -> None:
    (ana, ben), room = await private_room(arrive, "Ben Okafor")
    user = await ben.id()
    row = await ana.select(user)
    await row.get_by_test_id("ban").click()
    await row.get_by_test_id("reason").fill("Because")
    await change(http, gateways[0], ana, "PUT", f"{room}/members/{user}", role="moderator")
    await change(http, gateways[0], ana, "PATCH", room, title="Orchard")
    await expect(ana.panel.get_by_test_id("title")).to_have_value("Orchard")
    await expect(ana.notes("member.role")).to_have_count(1)
    await expect(row.get_by_test_id("reason")).to_have_value("Because")
    await row.get_by_test_id("confirm").click()
    await expect(ben.notice("member.banned")).to_contain_text("Reason: Because")


async def test_markup_in_titles_reasons_and_names_stays_text(arrive: Arrive) -> None:
    ana, eve = await gather(arrive("Ana Ruiz"), arrive("<b>Eve</b> **x**"))
    room = fresh_room("xss")
    await ana.create_room(ATTACK, room)
    await eve.join(room)
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


async def test_by_keyboard_alone(arrive: Arrive) -> None:
    (ana, ben), _ = await private_room(arrive, "Ben Okafor")
    user = await ben.id()
    await ana.page.get_by_test_id("panel-close").click()
    await ana.page.get_by_test_id("panel-toggle").focus()
    await ana.page.keyboard.press("Enter")
    await expect(ana.panel.locator("h2")).to_be_focused()
    await ana.member(user).get_by_test_id("actions").focus()
    await ana.page.keyboard.press("Enter")
    await ana.member(user).get_by_test_id("mute").focus()
    await ana.page.keyboard.press("Enter")
    await expect(ana.member(user).get_by_test_id("length")).to_be_focused()
    await ana.page.keyboard.press("Escape")
    await expect(ana.page.get_by_test_id("measure")).to_have_count(0)
    await ana.page.keyboard.press("Escape")
    await ana.page.keyboard.press("Escape")
    await expect(ana.panel).to_be_hidden()
    await expect(ana.page.get_by_test_id("panel-toggle")).to_be_focused()
