"""Each frame that is a command has the fields of its command."""

import pytest
from warren.contract import commands as c
from warren.contract import frames as f
from warren_gateway.auth.tokens import User
from warren_gateway.connections.commands import COMMANDS, as_command_frame, command_of

GIVEN = {"id", "sender", "name", "type"}
"""What a command has that the client does not say."""


@pytest.mark.parametrize("frame", COMMANDS)
def test_a_frame_says_all_that_its_command_needs(frame: type[f.AnyClientFrame]) -> None:
    command = COMMANDS[frame]
    says = frame.model_fields.keys() - {"type"}
    needs = {name for name, field in command.model_fields.items() if field.is_required()} - GIVEN
    assert {"room", "key"} <= says
    assert needs <= says <= command.model_fields.keys() - GIVEN


def test_a_command_says_what_its_frame_does_and_who_gave_it() -> None:
    frame = as_command_frame(f.Send(room="a", key="k", text="x", reply_to=3))
    assert frame is not None
    command = command_of(frame, User("ann", "Ann", 0.0))
    assert command == c.Send(id=command.id, room="a", sender="ann", name="Ann", key="k", text="x", reply_to=3)


def test_what_is_about_the_connection_is_no_command() -> None:
    assert as_command_frame(f.Join(room="a")) is None
    assert as_command_frame(f.Ping()) is None
