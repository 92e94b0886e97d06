"""Tokens: what is taken, by which key, how often the keys are read, and which settings make no sense."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
from harness.concurrency import run_concurrently
from harness.jwks import KeyServer
from harness.stack import SECRET
from harness.tokens import ISSUER, SigningKey, claims_of, forged, token
from pydantic import ValidationError
from warren.contract.codes import Code
from warren.contract.ids import USER_PATTERN
from warren.rates import Buckets, Rate
from warren_gateway.auth.authenticator import Authenticator, Guests, NotNow, Secret
from warren_gateway.auth.keys import FETCH_BYTES, UNKNOWN_EVERY, KeySet, KeysUnavailable, load, usable
from warren_gateway.auth.tokens import ASYMMETRIC, SYMMETRIC, Rules, TokenRefused, User, check, read_header
from warren_gateway.config import Settings

GUEST = Rules(SYMMETRIC, "warren-guest", "warren")
ISSUED = Rules(ASYMMETRIC, ISSUER, "warren")
KEYS = {algorithm: SigningKey(algorithm.lower(), algorithm) for algorithm in sorted(ASYMMETRIC)}


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer().running() as found:
        yield found


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


# Claims.


def name_of(**claims: Any) -> str:
    return check(token("ann", **claims), SECRET, GUEST).name


def test_a_good_token_says_who_it_is() -> None:
    user = check(token("ann", name="Ann", exp=4_000_000_000), SECRET, GUEST)
    assert user == User("ann", "Ann", 4_000_000_000.0)


@pytest.mark.parametrize("name", [None, "", "  ", 5, ["Ann"], {"a": 1}, True])
def test_without_a_name_that_can_be_shown_another_is_taken(name: Any) -> None:
    assert name_of(name=name) == "ann"
    assert name_of(name=name, preferred_username="Annie") == "Annie"


def test_a_name_is_cut_and_made_fit_to_be_sent() -> None:
    assert name_of(name="x" * 200) == "x" * 64
    assert name_of(name="\ud800 Ann") == "? Ann"
    assert len(check(token("u" * 128, name=None), SECRET, GUEST).name) == 64


def test_the_claim_for_the_name_can_be_another() -> None:
    rules = Rules(SYMMETRIC, "warren-guest", "warren", "nickname")
    assert check(token("ann", name="Ann", nickname="A."), SECRET, rules).name == "A."


def test_people_can_be_known_by_another_claim() -> None:
    def user_of(claim: str, **claims: Any) -> str:
        rules = Rules(SYMMETRIC, "warren-guest", "warren", user_claim=claim)
        return check(token("auth0|5f7c", **claims), SECRET, rules).id

    assert user_of("nickname", nickname="ann") == "ann"
    assert user_of("email", email="ann@example.org", email_verified=True) == "ann@example.org"
    for verified in (False, None, "true"):
        with pytest.raises(TokenRefused, match="email is not verified"):
            user_of("email", email="ann@example.org", email_verified=verified)
    for nickname in ("a b", "", 5, ["ann"]):
        with pytest.raises(TokenRefused, match="nickname cannot be a user id"):
            user_of("nickname", nickname=nickname)
    with pytest.raises(TokenRefused, match="sub cannot be a user id"):
        user_of("sub")
    with pytest.raises(TokenRefused):
        user_of("nickname")


@pytest.mark.parametrize("exp", [10**400, 2**63, 1e300])
def test_an_expiry_out_of_this_world_is_no_trouble(exp: Any) -> None:
    assert check(token("ann", exp=exp), SECRET, GUEST).expires == 2**53


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None}, {"exp": "soon"}, {"exp": float("inf")}, {"exp": [1]}, {"exp": 0}, {"sub": None}, {"sub": ""},
        {"sub": "a b"}, {"sub": 5}, {"sub": "x" * 129}, {"sub": "ü"}, {"aud": None}, {"aud": "else"}, {"aud": []},
        {"aud": {"warren": 1}}, {"iss": None}, {"iss": "else"}, {"iss": ["warren-guest"]}, {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000}, {"nbf": "x"}, {"sub": "me"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_claim_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        check(forged({"alg": "HS256"}, SECRET.encode(), claims_of("ann", **claims)), SECRET, GUEST)


def test_the_issuers_clock_may_be_a_little_ahead_and_an_expiry_is_an_expiry() -> None:
    now = int(time.time())
    assert check(token("ann", iat=now + 20, nbf=now + 20), SECRET, GUEST).id == "ann"
    for seconds in (0, -1, -20):
        with pytest.raises(TokenRefused, match="expired"):
            check(token("ann", exp=now + seconds), SECRET, GUEST)


def test_a_token_made_by_hand_is_as_good() -> None:
    assert check(forged({"alg": "HS256"}, SECRET.encode(), claims_of("ann")), SECRET, GUEST).id == "ann"


def test_one_of_several_audiences_is_enough() -> None:
    assert check(token("ann", aud=["else", "warren"]), SECRET, GUEST).id == "ann"


# Algorithms.


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
async def test_each_algorithm_is_checked_with_its_own_key(algorithm: str) -> None:
    key = KEYS[algorithm]
    found = jwt.PyJWK(key.jwk)
    good = key.token("ann")
    assert read_header(good, ISSUED) == (algorithm, key.kid)
    assert check(good, found, ISSUED).id == "ann"
    with pytest.raises(TokenRefused):
        check(SigningKey(key.kid, algorithm).token("ann"), found, ISSUED)


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "None"}, {"alg": ""}, {"alg": None}, {"alg": 5}, {}], ids=str
)
def test_a_token_without_a_signature_is_refused(header: dict[str, Any]) -> None:
    for rules in (GUEST, ISSUED):
        with pytest.raises(TokenRefused):
            read_header(forged(header), rules)


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """Whoever signs with the public key, as if it were a secret, is refused before and by the library."""
    key = KEYS[algorithm]
    for secret in (key.pem, json.dumps(key.jwk).encode()):
        confused = forged({"alg": "HS256", "kid": key.kid}, secret)
        with pytest.raises(TokenRefused):
            read_header(confused, ISSUED)
        with pytest.raises(TokenRefused):
            check(confused, jwt.PyJWK(key.jwk), ISSUED)


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a.b.c", "ü.ü.ü", "\0", "x" * 8_193, "\ud800.a.b", "[" * 6_000])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        read_header(text, GUEST)


def test_a_long_token_is_refused_without_being_looked_at() -> None:
    with pytest.raises(TokenRefused, match="too long"):
        read_header(token("ann", padding="x" * 8_192), GUEST)


# Key sets.


def key_set(*jwks: object) -> bytes:
    return json.dumps({"keys": jwks}).encode()


def test_only_keys_that_are_of_use_are_taken() -> None:
    good = KEYS["ES256"].jwk
    symmetric = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 64).decode(), "kid": "es256", "alg": "HS256"}
    renamed = {**symmetric, "alg": "ES256"}
    weak = {
        "kty": "RSA",
        "alg": "RS256",
        "kid": "weak",
        "n": base64.urlsafe_b64encode(b"\xc1" * 64).decode(),
        "e": "AQAB",
    }
    others = [symmetric, renamed, weak, {**KEYS["RS256"].jwk, "use": "enc"}, {}, 5, None, [], {"kty": 5}, {"kty": "EC"}]
    assert [key.key_id for key in usable(key_set(*others, good), ASYMMETRIC)] == ["es256"]
    assert [key.key_id for key in usable(key_set(KEYS["EdDSA"].jwk, good), frozenset({"EdDSA"}))] == ["eddsa"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"5", b"null", b'{"keys":5}', b'{"keys":{}}', b'{"keys":[]}', b"[" * 99_999]
)
def test_what_is_no_key_set_is_refused(body: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        usable(body, ASYMMETRIC)


@pytest.mark.parametrize("kid", [["x"], {"a": 1}, 5, True])
async def test_a_key_whose_id_is_no_text_is_none_and_ends_nothing(kid: object, tmp_path: Path) -> None:
    clock, source, good = Clock(), tmp_path / "keys.json", KEYS["ES256"].jwk
    keys = KeySet(str(source), ASYMMETRIC, 600, clock)
    source.write_bytes(key_set({**SigningKey("strange").jwk, "kid": kid}, good))
    assert await keys.find("ES256", None), "there is one that can be meant"
    source.write_bytes(key_set(good, SigningKey("new").jwk))
    clock.now += UNKNOWN_EVERY
    assert await keys.find("ES256", "new")


async def test_a_key_is_found_by_its_id_and_nothing_else(server: KeyServer) -> None:
    old, new, other = SigningKey("old"), SigningKey("new"), SigningKey("rsa", "RS256")
    server.publish(old, new, other)
    keys = KeySet(server.url, ASYMMETRIC, 600)
    found = await keys.find("ES256", "new")
    assert found is not None
    assert found.key_id == "new"
    assert await keys.find("RS256", "new") is None
    assert await keys.find("ES256", None) is None  # there are two
    only = await keys.find("RS256", None)
    assert only is not None
    assert only.key_id == "rsa"


async def test_unknown_ids_are_asked_for_every_few_seconds_at_most(server: KeyServer) -> None:
    clock = Clock()
    server.publish(KEYS["ES256"])
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    assert await keys.find("ES256", "es256")
    for number in range(1_000):
        assert await keys.find("ES256", f"made-up-{number}") is None
    assert server.fetches == 1
    clock.now += UNKNOWN_EVERY - 0.1
    assert await keys.find("ES256", "made-up") is None
    assert server.fetches == 1
    clock.now += 0.2
    server.publish(KEYS["ES256"], SigningKey("new"))
    assert await keys.find("ES256", "new")
    assert server.fetches == 2


async def test_a_made_up_id_holds_up_a_new_key_for_seconds_and_its_token_is_not_refused(server: KeyServer) -> None:
    clock = Clock()
    server.publish(KEYS["ES256"])
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    auth = Authenticator(keys, ISSUED, Buckets(Rate(1, 100)))
    with pytest.raises(NotNow):
        await auth.authenticate(SigningKey("made-up").token("mallory"), "1")
    new = SigningKey("new")
    server.publish(KEYS["ES256"], new)
    clock.now += 1
    with pytest.raises(NotNow) as caught:
        await auth.authenticate(new.token("ann"), "2")
    assert (caught.value.code, caught.value.wait) == (Code.UNAVAILABLE, UNKNOWN_EVERY - 1)
    assert server.fetches == 1
    clock.now += caught.value.wait
    assert (await auth.authenticate(new.token("ann"), "2")).id == "ann"
    assert server.fetches == 2


async def test_a_key_that_is_not_there_yet_is_no_refusal_and_one_that_was_taken_back_is(server: KeyServer) -> None:
    clock = Clock()
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    auth = Authenticator(keys, ISSUED, Buckets(Rate(1, 100)))
    good = KEYS["ES256"].token("ann")
    server.broken = True
    with pytest.raises(NotNow):  # nothing could be read
        await auth.authenticate(good, "1")
    server.broken = False
    for published, comes in ((KEYS["ES256"], True), (KEYS["EdDSA"], False), (KEYS["ES256"], True)):
        server.publish(published)
        clock.now += UNKNOWN_EVERY
        with suppress(TokenRefused, NotNow):  # the reason to read
            await auth.authenticate(SigningKey("made-up").token("mallory"), "1")
        if comes:
            await auth.authenticate(good, "1")
        else:
            with pytest.raises(TokenRefused, match="not known here"):
                await auth.authenticate(good, "1")


@pytest.mark.parametrize(
    "claims",
    [{"expires_in": -1}, {"issuer": "https://login.example.com"}, {"aud": "else"}, {"sub": "mal lory"}, {"exp": None}],
)
async def test_what_would_do_with_no_key_is_refused_under_an_unknown_one(
    server: KeyServer, claims: dict[str, Any]
) -> None:
    """Else whoever holds it would come back with it for ever."""
    server.publish(KEYS["ES256"])
    auth = Authenticator(KeySet(server.url, ASYMMETRIC, 600, Clock()), ISSUED, Buckets(Rate(1, 100)))
    with pytest.raises(TokenRefused):
        await auth.authenticate(SigningKey("new").token("ann", **claims), "1")


async def test_made_up_ids_count_as_bad_tokens_of_their_address(server: KeyServer) -> None:
    server.publish(KEYS["ES256"])
    auth = Authenticator(KeySet(server.url, ASYMMETRIC, 600, Clock()), ISSUED, Buckets(Rate(0.001, 5)))
    codes = []
    for number in range(7):
        with pytest.raises(NotNow) as caught:
            await auth.authenticate(SigningKey("made-up").token(f"m{number}"), "1")
        codes.append(caught.value.code)
    assert codes == [Code.UNAVAILABLE] * 5 + [Code.TOO_MANY] * 2


async def test_only_so_many_keys_that_were_taken_back_are_remembered(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warren_gateway.auth.keys.RETIRED", 2)
    clock = Clock()
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    for number in range(5):
        server.publish(SigningKey(f"k{number}"))
        clock.now += UNKNOWN_EVERY
        assert await keys.find("ES256", f"k{number}")
    assert [keys.again(f"k{number}") > 0 for number in range(5)] == [True, True, False, False, False]


async def test_a_source_that_fails_is_not_asked_more_often_and_the_keys_stay(server: KeyServer) -> None:
    clock = Clock()
    server.publish(KEYS["ES256"])
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    assert await keys.find("ES256", "es256")
    server.broken = True
    for minute in range(1, 4):
        clock.now += UNKNOWN_EVERY
        for number in range(100):
            assert await keys.find("ES256", f"made-up-{number}") is None
        assert server.fetches == 1 + minute
    assert await keys.find("ES256", "es256")


async def test_those_who_wait_for_the_same_reading_share_it_and_the_others_do_not_wait(server: KeyServer) -> None:
    clock = Clock()
    server.publish(KEYS["ES256"])
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    assert await keys.find("ES256", "es256")
    clock.now += UNKNOWN_EVERY
    server.held.clear()
    waiting = [asyncio.create_task(keys.find("ES256", f"made-up-{number}")) for number in range(500)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # whoever goes away does not end it for the others
    assert await keys.find("ES256", "es256")
    assert not any(task.done() for task in waiting[1:])
    server.held.set()
    assert await run_concurrently(*waiting[1:]) == [None] * 499
    assert server.fetches == 2


@pytest.mark.parametrize("body", [b" " * (FETCH_BYTES + 1), b"<html>", b'{"keys":[]}'])
async def test_a_source_that_answers_nonsense_takes_no_key_away(server: KeyServer, body: bytes) -> None:
    clock = Clock()
    server.publish(KEYS["ES256"])
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    assert await keys.find("ES256", "es256")
    clock.now += UNKNOWN_EVERY
    server.serve_bytes(body)
    assert await keys.find("ES256", "made-up") is None
    assert server.fetches == 2
    assert await keys.find("ES256", "es256")


async def test_a_file_is_read_under_the_same_rules(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "keys.json"
    path.write_bytes(key_set(KEYS["ES256"].jwk))
    for source in (str(path), path.as_uri()):
        assert await load(source) == path.read_bytes()
    keys = KeySet(str(path), ASYMMETRIC, 600, clock)
    assert await keys.find("ES256", "es256")
    path.write_bytes(key_set(KEYS["EdDSA"].jwk))
    assert await keys.find("EdDSA", "eddsa") is None
    clock.now += UNKNOWN_EVERY
    assert await keys.find("EdDSA", "eddsa")
    assert await keys.find("ES256", "es256") is None
    path.write_bytes(b" " * (FETCH_BYTES + 1))
    with pytest.raises(KeysUnavailable):
        await load(str(path))


async def test_keys_are_read_again_now_and_then_so_that_one_taken_back_stops_working(server: KeyServer) -> None:
    server.publish(KEYS["ES256"], KEYS["EdDSA"])
    keys = KeySet(server.url, ASYMMETRIC, 0.05)
    reading = asyncio.create_task(keys.run())
    try:
        async with asyncio.timeout(30):
            while not keys.ready:  # noqa: ASYNC110 - a reading under way has nothing to wait on
                await asyncio.sleep(0.01)
            server.publish(KEYS["EdDSA"])
            while await keys.find("ES256", "es256"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await keys.find("EdDSA", "eddsa")
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


# Who is listened to.


def authenticator(failures: int = 3) -> Authenticator:
    return Authenticator(Secret(SECRET), GUEST, Buckets(Rate(0.001, failures)))


async def test_an_address_with_too_many_bad_tokens_is_not_listened_to_but_for_what_is_known_to_be_good() -> None:
    auth, known, new = authenticator(), token("ann"), token("bob")
    assert (await auth.authenticate(known, "1")).id == "ann"
    for _ in range(3):
        with pytest.raises(TokenRefused):
            await auth.authenticate("bad", "1")
    with pytest.raises(NotNow) as refused:
        await auth.authenticate(new, "1")
    assert 0 < refused.value.wait <= 1_000
    assert (await auth.authenticate(known, "1")).id == "ann"
    assert (await auth.authenticate(new, "2")).id == "bob"
    assert (await auth.authenticate(new, "1")).id == "bob"  # known by now


async def test_a_hello_is_judged_at_once_as_any_token_is() -> None:
    auth, known = authenticator(), token("ann")
    assert auth.authenticate_now(known, "1") == await auth.authenticate(known, "1")
    for _ in range(3):
        with pytest.raises(TokenRefused):
            auth.authenticate_now("bad", "1")
    for late in (token("bob"), "bad"):
        with pytest.raises(NotNow):
            auth.authenticate_now(late, "1")
    assert auth.authenticate_now(known, "1") is not None


async def test_a_hello_whose_key_has_to_be_looked_for_is_neither_good_nor_refused_yet(server: KeyServer) -> None:
    server.publish(KEYS["ES256"])
    auth = Authenticator(KeySet(server.url, ASYMMETRIC, 600, Clock()), ISSUED, Buckets(Rate(0.001, 1)))
    good = KEYS["ES256"].token("ann")
    assert auth.authenticate_now(good, "1") is None
    assert (await auth.authenticate(good, "1")).id == "ann"
    other = KEYS["ES256"].token("bob")
    assert auth.authenticate_now(other, "1") == await auth.authenticate(other, "1")


async def test_what_is_remembered_ends_with_the_token() -> None:
    auth = authenticator()
    short = token("ann", expires_in=1)
    assert auth.known(short) is None
    await auth.authenticate(short, "1")
    async with asyncio.timeout(30):
        while auth.known(short):  # noqa: ASYNC110 - the time of day is what is waited for
            await asyncio.sleep(0.05)
    with pytest.raises(TokenRefused, match="expired"):
        await auth.authenticate(short, "1")


async def test_what_is_remembered_ends_with_the_key(server: KeyServer) -> None:
    clock = Clock()
    server.publish(KEYS["ES256"])
    keys = KeySet(server.url, ASYMMETRIC, 600, clock)
    auth = Authenticator(keys, ISSUED, Buckets(Rate(1, 100)))
    good = KEYS["ES256"].token("ann")
    await auth.authenticate(good, "1")
    assert auth.known(good)
    server.publish(KEYS["EdDSA"])
    clock.now += UNKNOWN_EVERY
    await auth.authenticate(KEYS["EdDSA"].token("bob"), "1")
    assert auth.known(good) is None
    with pytest.raises(TokenRefused):
        await auth.authenticate(good, "1")


async def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_gateway.auth.authenticator.GOOD_TOKENS", 3)
    auth = authenticator()
    tokens = [token(f"u{number}") for number in range(5)]
    for each in tokens:
        await auth.authenticate(each, "1")
    assert [bool(auth.known(each)) for each in tokens] == [False, False, True, True, True]


async def test_guests_get_tokens_that_are_taken() -> None:
    given, user = Guests(SECRET, GUEST, 60).issue("Änn & Co")
    assert await authenticator().authenticate(given, "1") == user
    assert user.id.startswith("ann-co-")


@pytest.mark.parametrize("name", ["Ann", "José", "Анна", "花子", "❤", "!", "Ann" * 20, "guest"])
def test_nobody_is_given_the_id_of_another_guest(name: str) -> None:
    """96 random bits in each id, whatever the name; it says no more than the name does."""
    ids = [Guests(SECRET, GUEST, 60).issue(name)[1].id for _ in range(50)]
    endings = [found.rpartition("-")[2] for found in ids]
    assert len(set(endings)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{24}", ending) for ending in endings)
    assert all(re.fullmatch(USER_PATTERN, found) for found in ids)
    said = {"Ann": "ann", "José": "jose", "guest": "guest", "Ann" * 20: ("ann" * 20)[:40]}
    assert {found.rpartition("-")[0] for found in ids} == {said.get(name, "")}


# Settings.


def settings(**given: str) -> Settings:
    return Settings(**given)  # type: ignore[arg-type]


def test_what_is_taken_follows_from_the_kind_of_key() -> None:
    assert settings(secret=SECRET).rules == GUEST
    assert settings(auth="jwt", jwks="keys.json", issuer=ISSUER).rules == ISSUED
    assert settings(auth="jwt", secret=SECRET, issuer=ISSUER, audience="a").rules == Rules(SYMMETRIC, ISSUER, "a")
    only = settings(auth="jwt", jwks="keys.json", issuer=ISSUER, algorithms="ES256, EdDSA")
    assert only.rules.algorithms == {"ES256", "EdDSA"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "WARREN_SECRET"),
        ({"secret": "short"}, "at least 32"),
        ({"secret": SECRET, "jwks": "keys.json"}, "WARREN_AUTH=jwt"),
        ({"secret": SECRET, "issuer": ISSUER}, "WARREN_AUTH=jwt"),
        ({"auth": "jwt"}, "WARREN_JWKS"),
        ({"auth": "jwt", "issuer": ISSUER}, "WARREN_JWKS"),
        ({"auth": "jwt", "secret": SECRET}, "WARREN_ISSUER"),
        ({"auth": "jwt", "jwks": "keys.json"}, "WARREN_ISSUER"),
        ({"auth": "jwt", "jwks": "keys.json", "secret": SECRET, "issuer": ISSUER}, "not both"),
        ({"auth": "jwt", "jwks": "keys.json", "issuer": ISSUER, "algorithms": "HS256"}, "WARREN_ALGORITHMS"),
        ({"auth": "jwt", "jwks": "keys.json", "issuer": ISSUER, "algorithms": "ES256,HS256"}, "WARREN_ALGORITHMS"),
        ({"auth": "jwt", "secret": SECRET, "issuer": ISSUER, "algorithms": "HS256,RS256"}, "WARREN_ALGORITHMS"),
        ({"auth": "jwt", "jwks": "keys.json", "issuer": ISSUER, "algorithms": "none"}, "WARREN_ALGORITHMS"),
        ({"auth": "jwt", "jwks": "ftp://a/keys", "issuer": ISSUER}, "http or https"),
        ({"auth": "jwt", "jwks": "https://", "issuer": ISSUER}, "http or https"),
        ({"auth": "oidc"}, "guest"),
        ({"secret": SECRET, "trusted_proxies": "*"}, "does not appear to be"),
        ({"secret": SECRET, "trusted_proxies": "10.0.0.1/8"}, "host bits"),
        ({"secret": SECRET, "origins": "https://a.example/"}, "slash at the end"),
        ({"secret": SECRET, "origins": "a.example"}, "https://"),
        ({"secret": SECRET, "messages_per_second": "0"}, "greater than 0"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_and_no_secret_is_told(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        settings(**given)
    assert SECRET not in str(refused.value)
    assert "short'" not in str(refused.value)
