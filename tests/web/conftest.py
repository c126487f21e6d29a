from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.engine.search import Search
from service.web.app import create_app
from service.web.services import Services
from tests.engine.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def services(world: World) -> Services:
    return services_of(world)


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services)) as client:
        yield client


def services_of(world: World, **changes: Any) -> Services:
    """The services of a world; its library is the one configured root."""
    values: dict[str, Any] = {
        "jobs": world.jobs,
        "make_search": lambda: Search(world.ledger, world.settings, lambda: world.embedder),
        "version": "1.2.3",
        "make_planner": lambda: world.planner,
        "library_roots": {"library": world.library},
    }
    return Services(**{**values, **changes})
