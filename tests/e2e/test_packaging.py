"""The wheel as a user gets it: what is in it, and that it works in an environment with nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# One group: the wheel is built and installed once, whatever the number of test processes.
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]

ROOT = Path(__file__).parents[2]
PACKAGES = ("chargepoint", "hal", "scenarios")
SHIPPED = {".py", ".yaml", ".csv", ".j2", ".typed"}


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that building leaves nothing behind in them."""
    folder = tmp_path_factory.mktemp("sources")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".", cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


# Resolving and downloading takes pip as long as thirty other tests, so that is left to the campaign; else
# what the wheel asks for, and what that asks for, is linked from the environment of these tests.
@pytest.fixture(scope="module", params=["linked", pytest.param("downloaded", marks=pytest.mark.campaign)])
def scripts(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment that holds the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile")
    if request.param == "downloaded":
        run(*install, "--constraint", ROOT / "requirements.lock", wheel, cwd=folder)
    else:
        run(*install, "--no-deps", wheel, cwd=folder)
        link_what_is_needed(next(folder.glob("lib/python*/site-packages")))
    return folder / "bin"


def link_what_is_needed(packages: Path) -> None:
    """Put the requirements of the one distribution there beside it, and theirs."""
    (installed,) = metadata.distributions(path=[str(packages)])
    waiting, met = [installed], set()
    while waiting:
        for line in waiting.pop().requires or ():
            requirement = Requirement(line)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            name = canonicalize_name(requirement.name)
            if not wanted or name in met:
                continue
            met.add(name)
            found = metadata.distribution(name)
            assert found.version in requirement.specifier, line
            waiting.append(found)
            for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                (packages / top).symlink_to(str(found.locate_file(top)))


def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(wheel: Path) -> None:
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SHIPPED and "__pycache__" not in path.parts
    }
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    assert {"hal/simulated/vehicles/compact.yaml", "hal/py.typed"} <= found


def test_the_command_tells_its_version(scripts: Path, tmp_path: Path) -> None:
    assert run(scripts / "chargepoint", "--version", cwd=tmp_path) == "chargepoint 0.1.0\n"
    assert run(scripts / "python", "-m", "chargepoint", "--version", cwd=tmp_path) == "chargepoint 0.1.0\n"


def test_the_example_that_it_prints_is_a_good_configuration(scripts: Path, tmp_path: Path) -> None:
    example = run(scripts / "chargepoint", "config", "example", cwd=tmp_path)
    (tmp_path / "station.yaml").write_text(example)
    checked = run(scripts / "chargepoint", "config", "check", "station.yaml", cwd=tmp_path)
    assert checked == "station.yaml: good\n"


def test_the_vehicles_are_there(scripts: Path, tmp_path: Path) -> None:
    code = "from hal.simulated.vehicle import *; print([load_vehicle(name).name for name in vehicle_names()])"
    shipped = sorted(path.stem for path in (ROOT / "hal" / "simulated" / "vehicles").glob("*.yaml"))
    assert run(scripts / "python", "-c", code, cwd=tmp_path) == f"{shipped}\n"


def test_every_command_answers_without_the_tools_of_development(scripts: Path, tmp_path: Path) -> None:
    for name in ("run", "demo", "csms", "check", "sessions", "inspect", "config"):
        assert run(scripts / "chargepoint", name, "--help", cwd=tmp_path).startswith("Usage: chargepoint")
