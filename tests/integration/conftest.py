"""One real control plane for all integration tests, a new namespace per test; scenarios run in parallel."""

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeGuard

import pytest
from tests.integration.namespaces import new_namespace
from tests.integration.scenario_runner import ScenarioRunner
from tests.integration.snapshots import LONGEST_WAIT, Recording

from lab.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server with RBAC, admission and audit log, shared by all tests: no test may expect it empty."""
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane"), audit=True) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A namespace that no other test uses."""
    return new_namespace(control_plane)


@pytest.fixture(scope="session")
def scenario_runner(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScenarioRunner]:
    """Runs the scenarios of all collected modules that have one."""
    modules = dict.fromkeys(item.module for item in request.session.items if _has_a_scenario(item))
    scenarios = [module.SCENARIO for module in modules]
    with ScenarioRunner(control_plane, tmp_path_factory.mktemp("scenarios")) as scenario_runner:
        yield scenario_runner.begin(scenarios)


@pytest.fixture(scope="session")
def backgrounds(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Any]]]:
    """Module name -> the future of its BACKGROUND, for all modules that have one."""
    modules = dict.fromkeys(item.module for item in request.session.items if _has_a_background(item))
    with ThreadPoolExecutor(max(len(modules), 1), thread_name_prefix="background") as pool:
        yield {
            module.__name__: pool.submit(module.BACKGROUND, control_plane, tmp_path_factory.mktemp("background"))
            for module in modules
        }


@pytest.fixture(scope="module")
def background(request: pytest.FixtureRequest, backgrounds: Mapping[str, Future[Any]]) -> Future[Any]:
    """The future of this module's BACKGROUND."""
    return backgrounds[request.module.__name__]


@pytest.fixture(scope="session", autouse=True)
def _begun(request: pytest.FixtureRequest) -> None:
    """Start scenarios and backgrounds first: they mostly wait, and run while other tests run."""
    if any(map(_has_a_scenario, request.session.items)):
        request.getfixturevalue("scenario_runner")
    if any(map(_has_a_background, request.session.items)):
        request.getfixturevalue("backgrounds")


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest, scenario_runner: ScenarioRunner) -> Iterator[Recording]:
    """The recording of the module's scenario, which must have passed, with all invariants, at the module's end."""
    recording = scenario_runner.recording(request.module.SCENARIO)
    yield recording
    recording.finish()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that wait for a scenario or a background after those that need not wait."""
    items.sort(key=lambda item: (_has_a_scenario(item), _has_a_background(item)))
    for item in filter(_has_a_scenario, items):
        item.add_marker(pytest.mark.timeout(LONGEST_WAIT + 60))


def _has_a_scenario(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and hasattr(item.module, "SCENARIO")


def _has_a_background(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and hasattr(item.module, "BACKGROUND")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the state of everything to the report of a failed test with a scenario."""
    report = yield
    recording: Any = getattr(item, "funcargs", {}).get("recording")
    if report.failed and isinstance(recording, Recording):
        report.sections.append((f"state of the scenario {recording.name}", recording.state))
    return report
