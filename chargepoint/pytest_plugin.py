"""The pytest plugin: stations, the embedded central system and their clock as fixtures (docs/pytest.md).

pytest loads this in every run where the package is installed, so it imports nothing but pytest until a
fixture is used. It is no part of `scenarios`: a project whose own package has that name could not start
pytest any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chargepoint.testing import Bench, ChargePoint, ChargePoints, Clock, Csms

_BENCH = pytest.StashKey["Bench"]()
_CLOCK = re.compile(r"wall|stepped|x(\d+(\.\d+)?)")
_MARKER_KEYS = ("template", "config", "vehicle", "identity", "start")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chargepoint", "charge points (chargepoint)")
    group.addoption(
        "--csms-url",
        metavar="URL",
        help="the central system that the stations of fixture charge_point connect to, ws:// or wss://; "
        "without it the embedded one",
    )
    group.addoption(
        "--csms-clock",
        metavar="wall|xN|stepped",
        help="the stations' clock; default: stepped, with --csms-url wall",
    )
    parser.addini("csms_url", "the same as --csms-url", default="")
    parser.addini("csms_clock", "the same as --csms-clock", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "charge_point(template=None, config=None, vehicle=None, identity=None, start=None): what the station "
        "of fixture charge_point is like, and when a stepped clock begins (chargepoint)",
    )
    url, clock = _option(config, "url"), _option(config, "clock")
    if url and not url.lower().startswith(("ws://", "wss://")):
        raise pytest.UsageError(
            f"--csms-url: {url} is not an address such as ws://host/path or wss://host/path"
        )
    if clock and not ((found := _CLOCK.fullmatch(clock)) and (not found[1] or 0 < float(found[1]) <= 1e6)):
        raise pytest.UsageError(
            f"--csms-clock: {clock} is no clock; write wall, stepped, or a speed like x60"
        )


def _option(config: pytest.Config, name: str) -> str | None:
    return config.getoption(f"csms_{name}") or config.getini(f"csms_{name}") or None


def _worker(config: pytest.Config) -> int | None:
    """Which one this is of the processes of pytest-xdist; None: there are none."""
    found = re.search(r"\d+$", getattr(config, "workerinput", {}).get("workerid", ""))
    return None if found is None else int(found[0])


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the markers say, the closest one first."""
    marked: dict[str, Any] = {}
    for marker in request.node.iter_markers("charge_point"):
        if marker.args or not marker.kwargs.keys() <= set(_MARKER_KEYS):
            pytest.fail(f"the marker charge_point takes {', '.join(_MARKER_KEYS)} by name", pytrace=False)
        marked = marker.kwargs | marked
    return marked


@pytest.fixture
def charge_point_config() -> Mapping[str, Any]:
    """Keys of the configuration of all stations; override it in your conftest.py."""
    return {}


@pytest.fixture
def _charge_point_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    from chargepoint.testing import Bench

    url, kind = _option(request.config, "url"), _option(request.config, "clock")
    try:
        bench = Bench(url, kind, _marked(request).get("start"), worker=_worker(request.config))
    except ValueError as error:
        raise pytest.fail.Exception(f"start: {error}", pytrace=False) from None
    request.node.stash[_BENCH] = bench
    yield bench
    bench.close()


@pytest.fixture
def charge_points(
    request: pytest.FixtureRequest, _charge_point_bench: Bench, charge_point_config: Mapping[str, Any]
) -> ChargePoints:
    """A factory: `charge_points(3, template="street-post-dual", config={...})`."""
    from chargepoint.testing import ChargePoints, Choices
    from chargepoint.testing.factory import merged

    choices = _marked(request)
    choices.pop("start", None)
    choices["config"] = merged(charge_point_config, choices.get("config") or {})
    return ChargePoints(_charge_point_bench, Choices(**choices))


@pytest.fixture
def charge_point(charge_points: ChargePoints) -> ChargePoint:
    """A station that the central system has accepted, with nothing plugged in."""
    from chargepoint.errors import ConfigError
    from chargepoint.testing import NotSeen

    try:
        return charge_points(1)[0]
    except (ConfigError, NotSeen) as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture
def csms(request: pytest.FixtureRequest, _charge_point_bench: Bench) -> Csms:
    """The embedded central system; a test that needs it is skipped with --csms-url."""
    from chargepoint.testing import Csms

    if _charge_point_bench.csms is None:
        pytest.skip(f"commands the embedded central system; {_charge_point_bench.url} takes none from here")
    return Csms(_charge_point_bench, _charge_point_bench.csms)


@pytest.fixture
def clock(_charge_point_bench: Bench) -> Clock:
    """The clock of the stations."""
    from chargepoint.testing import Clock

    return Clock(_charge_point_bench)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """The newest frames, beside a failure."""
    outcome: Any = yield
    bench = item.stash.get(_BENCH, None)
    if bench is not None and (report := outcome.get_result()).failed and report.when != "teardown":
        report.sections.append(("OCPP frames", bench.story()))
