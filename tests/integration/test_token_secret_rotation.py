"""From one secret to another while gateways are replaced one by one: no token that was good is refused on the way."""

import httpx
from harness.resilient_client import bearer
from harness.stack import SECRET, Stack, begin

NEW = "the-next-one-the-next-one-the-next-one"
OLD = {"WARREN_SECRET": SECRET}
BOTH = {"WARREN_SECRET": SECRET, "WARREN_SECOND_SECRET": NEW}
TURNED = {"WARREN_SECRET": NEW, "WARREN_SECOND_SECRET": SECRET}
AFTER = {"WARREN_SECRET": NEW}


async def test_tokens_are_good_on_every_gateway_while_two_secrets_are_taken(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    fleet = [stack.extra("gateway", number, **env) for number, env in enumerate((OLD, BOTH, TURNED, AFTER), 4)]
    try:
        await begin(*fleet)
        tokens = [(await http.post(f"{one.url}/v1/guest", json={"name": "Ann"})).json()["token"] for one in fleet]

        async def taken(token: str) -> list[bool]:
            answers = [await http.get(f"{one.url}/v1/me", headers=bearer(token)) for one in fleet]
            assert {answer.status_code for answer in answers} <= {200, 401}
            return [answer.is_success for answer in answers]

        # Two that follow each other are at work side by side, and take each other's.
        assert [await taken(token) for token in tokens] == [
            [True, True, True, False],
            [True, True, True, False],
            [False, True, True, True],
            [False, True, True, True],
        ]
        forged = f"{tokens[2].rpartition('.')[0]}.{tokens[0].rpartition('.')[2]}"
        assert not any(await taken(forged))
    finally:
        for gateway in fleet:
            gateway.stop()
