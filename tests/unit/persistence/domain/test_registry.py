"""Every type of event, and every command, has its one entry in the registry."""

from typing import get_args

import pytest
from warren.contract import commands as c
from warren.contract.events import CONTENT_FIELDS, EVENT_MODELS
from warren_persistence.domain.registry import ENTRIES, verb_of


def test_every_type_of_event_has_one_entry() -> None:
    assert sorted(entry.event.__name__ for entry in ENTRIES) == sorted(model.__name__ for model in EVENT_MODELS)


def test_every_command_has_one_verb_which_belongs_to_the_event_that_it_becomes() -> None:
    verbs = [(verb.command, entry.event) for entry in ENTRIES for verb in entry.verbs]
    assert sorted(verbs, key=repr) == sorted(((kind, kind.becomes) for kind in get_args(c.AnyCommand)), key=repr)


@pytest.mark.parametrize("command", get_args(c.AnyCommand))
def test_what_a_command_says_are_fields_of_its_event(command: type[c.AnyCommand]) -> None:
    fields = {"id": "i", "room": "a", "sender": "ann", "name": "Ann", "key": "k", "user": "bob", "text": "t"}
    fields |= {"title": "T", "kind": "public", "role": "owner", "what": "member.joined", "of_room": "b"}
    said = command.model_validate({**fields, "of_seq": 1, "upto": 0, "until": None}).content()
    assert said.keys() <= set(command.becomes.model_fields)
    assert set(CONTENT_FIELDS[command.becomes]) - said.keys() <= {"user"}  # nobody else's is the room


def test_only_the_service_itself_sends_notices() -> None:
    assert [kind for kind in get_args(c.AnyCommand) if verb_of(c.COMMAND.validate_python(_any(kind))).internal] == [
        c.Notify
    ]


def _any(kind: type[c.AnyCommand]) -> dict[str, object]:
    fields: dict[str, object] = {"id": "i", "room": "a", "sender": "ann", "name": "Ann", "key": "k", "user": "bob"}
    fields |= {"text": "t", "title": "T", "kind": "public", "role": "owner", "what": "w", "of_room": "b", "of_seq": 1}
    return {**fields, "upto": 0, "type": kind.model_fields["type"].default}
