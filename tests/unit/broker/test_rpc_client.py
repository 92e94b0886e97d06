"""Answers from the broker, whatever is in them: whoever waits gets one, and what makes no sense costs nobody."""

import asyncio
import json
from typing import Any, cast

import hypothesis.strategies as st
import pytest
from harness.message_strategies import IDS, INVALID, mutated
from hypothesis import given, settings
from warren.broker.command_client import CommandClient, as_a_bot
from warren.broker.errors import Unavailable
from warren.broker.publisher import Publisher
from warren.broker.rpc_client import RpcClient
from warren.contract.codes import Code
from warren.contract.commands import Accepted, Commands, Refused, Send
from warren.contract.queries import MyRooms, RoomList

property_test = settings(max_examples=200, deadline=None)


class Taking:
    """A broker that takes everything."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, dict[str, Any]]] = []
        self.came = asyncio.Event()

    async def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        self.taken.append((body, properties))
        self.came.set()


def send(identity: str) -> Send:
    return Send(id=identity, room="a", sender="bot.a", name="a", key="k", text="t")


def submitting(broker: Taking) -> CommandClient:
    submitter = CommandClient(cast(Publisher, broker), as_a_bot)
    submitter.reply_to = "bot.a.0"
    return submitter


async def test_of_two_commands_of_one_id_the_second_is_refused_at_once_and_the_first_answered() -> None:
    submitter, answers = submitting(Taking()), list[Accepted | Refused]()
    submitter.submit(send("same"), answers.append)
    submitter.submit(send("same"), answers.append)
    assert [cast(Refused, answer).code for answer in answers] == [Code.INVALID]
    submitter.answered(b'{"replies":[{"type":"accepted","id":"same","seq":5,"number":1}]}')
    assert answers[1:] == [Accepted(id="same", seq=5, number=1)]
    assert len(submitter) == 0
    submitter.submit(send("same"), answers.append)  # which waits no more
    assert len(submitter) == 1
    submitter.fail_all()


REPLY = st.fixed_dictionaries(
    {"type": st.sampled_from(["accepted", "refused"]), "id": IDS, "seq": st.integers(), "number": st.integers(),
     "code": st.text(max_size=5), "detail": st.text(max_size=5)}
)  # fmt: skip
REPLIES = st.lists(REPLY | mutated(REPLY), max_size=5).map(lambda found: json.dumps({"replies": found}).encode())


@property_test
@given(st.lists(IDS, max_size=6), st.lists(REPLIES | INVALID, max_size=5))
def test_each_command_has_one_answer_whatever_comes(identities: list[str], bodies: list[bytes]) -> None:
    async def run() -> None:
        broker = Taking()
        submitter, answers = submitting(broker), dict[int, list[Accepted | Refused]]()
        for place, identity in enumerate(identities):
            submitter.submit(send(identity), answers.setdefault(place, []).append)
        for body in bodies:
            submitter.answered(body)
        submitter.fail_all()
        assert all(len(found) == 1 and found[0].id == identities[place] for place, found in answers.items())
        await asyncio.sleep(0)
        sent = [one for body, _ in broker.taken for one in Commands.model_validate_json(body).commands]
        assert len(sent) == len({one.id for one in sent})

    asyncio.run(run())


async def test_whoever_cannot_take_an_answer_keeps_nobody_else_waiting() -> None:
    submitter, answers = submitting(Taking()), list[Accepted | Refused]()

    def broken(_: Accepted | Refused) -> None:
        raise KeyError("gone")

    submitter.submit(send("one"), broken)
    submitter.submit(send("other"), answers.append)
    replies = [{"type": "accepted", "id": name, "seq": 5, "number": 1} for name in ("one", "other")]
    submitter.answered(json.dumps({"replies": replies}).encode())
    assert [answer.id for answer in answers] == ["other"]


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b'{"type":"room_list"}', b'{"type":"oracle","rooms":[]}', b'{"type":"people_answer","people":[]}'],
    ids=["nothing", "no text", "half an answer", "of a newer replica", "of another query"],
)
async def test_an_answer_that_makes_no_sense_is_none(body: bytes) -> None:
    broker = Taking()
    rpc = RpcClient(cast(Publisher, broker))
    rpc.reply_to = "gateway.0"
    asking = asyncio.create_task(rpc.ask(MyRooms(user="ann"), RoomList))
    await broker.came.wait()
    rpc.answered("nobody's", body)
    rpc.answered(None, body)
    rpc.answered(broker.taken[0][1]["correlation_id"], body)
    with pytest.raises(Unavailable):
        await asking
