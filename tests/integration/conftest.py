"""One real control plane for all integration tests, one new namespace for each; whole lives are told side by side."""

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeGuard

import pytest
from tests.integration.library import Library
from tests.integration.namespaces import new_namespace
from tests.integration.pages import Tale

from lab.controlplane import ControlPlane

_LIFE_SECONDS = 300
"""A test of a whole life may have to wait for its story, which waits for others'."""


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server with RBAC, admission and audit log, shared by the run: no test may rely on its being empty."""
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane"), audit=True) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A namespace that no other test uses."""
    return new_namespace(control_plane)


@pytest.fixture(scope="session")
def library(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Library]:
    """The stories of all modules of this run that have one, begun at once."""
    modules = dict.fromkeys(item.module for item in request.session.items if _is_of_a_life(item))
    stories = [module.STORY for module in modules]
    with Library(control_plane, tmp_path_factory.mktemp("life")) as library:
        yield library.begin(stories)


@pytest.fixture(scope="session")
def backgrounds(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Any]]]:
    """What modules with a BACKGROUND have begun, by the module's name."""
    modules = dict.fromkeys(item.module for item in request.session.items if _has_a_background(item))
    with ThreadPoolExecutor(max(len(modules), 1), thread_name_prefix="background") as pool:
        yield {
            module.__name__: pool.submit(module.BACKGROUND, control_plane, tmp_path_factory.mktemp("background"))
            for module in modules
        }


@pytest.fixture(scope="module")
def background(request: pytest.FixtureRequest, backgrounds: Mapping[str, Future[Any]]) -> Future[Any]:
    """What this module has begun."""
    return backgrounds[request.module.__name__]


@pytest.fixture(scope="session", autouse=True)
def _begun(request: pytest.FixtureRequest) -> None:
    """Stories are told, and backgrounds run, while other tests run: they mostly wait."""
    if any(map(_is_of_a_life, request.session.items)):
        request.getfixturevalue("library")
    if any(map(_has_a_background, request.session.items)):
        request.getfixturevalue("backgrounds")


@pytest.fixture(scope="module")
def tale(request: pytest.FixtureRequest, library: Library) -> Iterator[Tale]:
    """The module's story. At the end of the module it must have ended well, with every invariant intact."""
    told = library.tale(request.module.STORY)
    yield told
    told.finish()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait for a story or a background come after those that need not wait."""
    items.sort(key=lambda item: (_is_of_a_life(item), _has_a_background(item)))
    for item in filter(_is_of_a_life, items):
        item.add_marker(pytest.mark.timeout(_LIFE_SECONDS))


def _is_of_a_life(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and hasattr(item.module, "STORY")


def _has_a_background(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and hasattr(item.module, "BACKGROUND")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure of a life stands how everything stood then."""
    report = yield
    told: Any = getattr(item, "funcargs", {}).get("tale")
    if report.failed and isinstance(told, Tale):
        report.sections.append((f"how everything stood in the story {told.name}", told.state))
    return report
