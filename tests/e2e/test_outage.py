"""Gateways are killed while people chat; nobody reloads, nothing is lost, doubled or out of order."""

from harness.stack import Stack, begin

from e2e.chat_page import ChatPage
from e2e.conftest import Meet


async def two_in_a_room(meet: Meet) -> tuple[ChatPage, ChatPage]:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ana.say("Before")
    await ben.sees("Before")
    for person in (ana, ben):
        person.in_outage = True
        await person.watch_banner()
        await person.page.evaluate("window.same = true")
    return ana, ben


async def check_same(ana: ChatPage, ben: ChatPage, texts: set[str]) -> None:
    """Both see each text once, in the same order, on the page that they had."""
    for person in (ana, ben):
        await person.sees(*texts)
    shown = await ana.seen()
    assert shown == await ben.seen()
    assert sorted(message.text for message in shown) == sorted(texts)
    assert [message.seq for message in shown] == sorted(message.seq for message in shown)


async def test_the_gateway_in_use_is_killed(meet: Meet, stack: Stack) -> None:
    ana, ben = await two_in_a_room(meet)
    texts = {"Before"}
    for turn in range(2):  # the second time through the gateway that was restarted
        used = await ana.gateway()
        service = next(gateway for gateway in stack.gateways if gateway.url == used)
        service.kill()
        await ana.say(f"Ana, {turn}")
        await ben.say(f"Ben, {turn}")
        texts |= {f"Ana, {turn}", f"Ben, {turn}"}
        await check_same(ana, ben, texts)
        assert await ana.gateway() != used
        await ana.banner_was(*["wait", "good", ""] * (turn + 1))
        await begin(service)
    assert await ana.page.evaluate("window.same") is True
    assert await ben.page.evaluate("window.same") is True


async def test_all_gateways_are_killed(meet: Meet, stack: Stack) -> None:
    ana, ben = await two_in_a_room(meet)
    for gateway in stack.gateways:
        gateway.kill()
    for person in (ana, ben):
        await person.banner_was("wait")
    said = {"Ana": ["Ana 1", "Ana 2", "Ana 3"], "Ben": ["Ben 1", "Ben 2", "Ben 3"]}
    for person, texts in zip((ana, ben), said.values(), strict=True):
        for text in texts:
            await person.say(text)
        for text in texts:
            await person.message(text, "pending").wait_for()
    await ben.page.reload()  # with the server away: what was said is kept all the same
    await begin(*stack.gateways)
    await ana.banner_was("wait", "good", "")
    await check_same(ana, ben, {"Before", *said["Ana"], *said["Ben"]})
    assert await ana.page.evaluate("window.same") is True
    order = [message.text for message in await ana.seen()]
    for texts in said.values():
        assert [text for text in order if text in texts] == texts
