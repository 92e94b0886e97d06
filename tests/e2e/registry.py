"""Guests and rooms that are made over HTTP, for tests that are about what happens then."""

import asyncio
from dataclasses import dataclass
from typing import Any

from harness.resilient_client import bearer, sign_in
from httpx import AsyncClient

KNOWN_WITHIN = 60.0
"""Seconds until others find somebody who has signed in; a bound, not an expectation."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who is signed in, and not at the page yet."""

    name: str
    id: str
    token: str


class Registry:
    """Makes guests and rooms at a gateway."""

    def __init__(self, http: AsyncClient, gateway: str) -> None:
        self._http = http
        self._gateway = gateway

    async def sign_in(self, *names: str) -> list[Guest]:
        """Make guests of these names."""
        answers = [await sign_in(self._http, self._gateway, name) for name in names]
        return [Guest(name, user, token) for name, (token, user) in zip(names, answers, strict=True)]

    async def found(self, room: str, owner: Guest, *others: Guest, kind: str = "public", title: str = "Garden") -> None:
        """Make a room that the others are in: those of a private one were invited and accepted."""
        await self.act(owner, "POST", "", room=room, kind=kind, title=title)
        for guest in others:
            if kind == "private":
                await self.invite(room, owner, guest)
            await self.act(guest, "PUT", f"/{room}/members/me")

    async def invite(self, room: str, owner: Guest, *guests: Guest) -> None:
        """Invite them, who have not answered then."""
        for guest in guests:
            await self.act(owner, "PUT", f"/{room}/members/{guest.id}")

    async def talk(self, guest: Guest, other: Guest) -> str:
        """Open the direct room of the two, and return it, once it is known that the other one has signed in."""
        async with asyncio.timeout(KNOWN_WITHIN):
            while True:
                if (await self.ask(guest, "GET", f"/v1/people?q={other.id}"))["people"]:
                    return str((await self.ask(guest, "POST", "/v1/direct", user=other.id))["room"])
                await asyncio.sleep(0.05)  # nobody is told of it

    async def say(self, guest: Guest, room: str, text: str) -> None:
        """Say something in the guest's name."""
        await self.act(guest, "POST", f"/{room}/messages", text=text)

    async def act(self, guest: Guest, method: str, path: str, **body: object) -> None:
        """Do something in the guest's name at a path below `/v1/rooms`."""
        await self.ask(guest, method, f"/v1/rooms{path}", **body)

    async def ask(self, guest: Guest, method: str, path: str, **body: object) -> dict[str, Any]:
        """Do it at any path, and return the answer."""
        answer = await self._http.request(method, self._gateway + path, json=body or None, headers=bearer(guest.token))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
