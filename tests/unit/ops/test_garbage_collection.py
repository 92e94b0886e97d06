"""A service that serves has garbage collection look at what is new alone, and seldom."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from warren.ops.garbage_collection import THRESHOLD
from warren.ops.health import Checks
from warren.ops.serve import health_app


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


async def test_what_is_there_when_a_service_begins_to_serve_is_there_for_good() -> None:
    @asynccontextmanager
    async def work() -> AsyncIterator[Checks]:
        assert gc.get_freeze_count() == 0
        yield {}

    app = health_app(work)
    async with app.router.lifespan_context(app):
        assert gc.get_freeze_count() > 10_000  # modules, classes, models
        assert gc.get_threshold()[0] == THRESHOLD
