"""What clients may ask of the writer: a frame comes in, its command goes out. A new verb is one line of `COMMANDS`."""

from collections.abc import Mapping
from typing import Protocol, cast

from warren.contract import commands as c
from warren.contract import frames as f
from warren.contract.ids import new_id

from warren_gateway.auth.tokens import User

COMMANDS: Mapping[type[f.AnyClientFrame], type[c.AnyCommand]] = {f.Send: c.Send}
"""By the model of a frame that is a command, the command's. A field of the frame is the field of its name there."""

_FIELDS = {frame: tuple(name for name in frame.model_fields if name != "type") for frame in COMMANDS}


class CommandFrame(Protocol):
    """A frame that is a command: it is answered under its key."""

    @property
    def type(self) -> str:
        """The verb."""

    @property
    def room(self) -> str:
        """Whose log it is for."""

    @property
    def key(self) -> str:
        """What it is known by, however often it is sent."""


def as_command_frame(frame: f.AnyClientFrame) -> CommandFrame | None:
    """Return the frame if it is a command."""
    return cast("CommandFrame", frame) if type(frame) in COMMANDS else None


def command_of(frame: CommandFrame, user: User) -> c.AnyCommand:
    """Return the command that this person gives by this frame."""
    kind = cast("type[f.AnyClientFrame]", type(frame))
    fields = {name: getattr(frame, name) for name in _FIELDS[kind]}
    return COMMANDS[kind](id=new_id(), sender=user.id, name=user.name, **fields)
