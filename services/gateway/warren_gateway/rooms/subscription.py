"""That a connection follows a room, and what its person may do there. No I/O."""

from warren.contract.queries import Access

from warren_gateway.delivery.subscriber import Subscriber


class Subscription:
    """One connection follows one room: the only place that says whether, and as whom. Others hold it and ask it.

    It begins with a join, which may be repeated while it is in force. Only the registry puts it in force and ends it.
    """

    __slots__ = ("access", "active", "joining", "present", "room", "subscriber", "suspended")

    def __init__(self, subscriber: Subscriber, room: str) -> None:
        self.subscriber = subscriber
        self.room = room
        """As it is called between the services."""
        self.joining = True
        """A join is under way."""
        self.active = False
        """Every event goes to the subscriber."""
        self.suspended = False
        """It was active until the store turned out to be another one."""
        self.access: Access | None = None
        """What the person was last known to be in the room; None before the first join is complete and after the
        end."""
        self.present = False
        """The person is announced as present there, and is shown who else is."""

    @property
    def current(self) -> bool:
        """Whether it is in force, or may soon be."""
        return self.active or self.joining or self.suspended

    @property
    def user(self) -> str:
        """Who reads."""
        return self.subscriber.user

    def activate(self) -> None:
        """Have every event go to the subscriber from now on."""
        self.active, self.suspended = True, False

    def pause(self) -> None:
        """Have no event go to the subscriber until it is activated again."""
        self.active = self.suspended = False

    def suspend(self) -> None:
        """Have no event go to a subscriber who read until now, until they are readmitted."""
        if self.active:
            self.active, self.suspended = False, True
