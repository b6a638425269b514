"""What `deploy/` holds for containers, checked by linters: no container engine runs here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from chargepoint.cli.main import command
from chargepoint.fleet.cluster.shard import shard_of
from chargepoint.fleet.plan.file import load
from chargepoint.fleet.plan.planning import plan_from

DEPLOY = Path(__file__).parents[2] / "deploy"
CONTAINERFILE, COMPOSE = DEPLOY / "Containerfile", DEPLOY / "compose.yaml"
JOB = DEPLOY / "kubernetes" / "fleet-job.yaml"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path))


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a linter that is installed beside this interpreter."""
    program = Path(sys.executable).parent / name
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=50, check=False)


def understood(words: list[str]) -> None:
    """Let the command line read what a container is told to run, without running it."""
    found: click.Command = command
    context: click.Context | None = None
    while isinstance(found, click.Group):
        name, *words = words
        context = click.Context(found, parent=context, info_name=name)
        subcommand = found.get_command(context, name)
        assert subcommand is not None, name
        found = subcommand
    found.make_context(found.name, words)


def services() -> dict[str, Any]:
    """Those of the compose file."""
    found: dict[str, Any] = documents(COMPOSE)[0]["services"]
    return found


@pytest.mark.search
def test_the_containerfile() -> None:
    done = tool("hadolint", "--failure-threshold", "style", CONTAINERFILE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.search
def test_the_linter_would_find_a_mistake(tmp_path: Path) -> None:
    worse = tmp_path / "Containerfile"
    worse.write_text(CONTAINERFILE.read_text().replace("USER 10001:10001", "USER root"))
    assert tool("hadolint", "--failure-threshold", "style", worse).returncode != 0


def test_what_is_copied_into_the_image_is_there() -> None:
    text = CONTAINERFILE.read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (DEPLOY.parent / name).exists(), name
    extras = re.findall(r'"\.\[(.+?)\]"', text)
    project = (DEPLOY.parent / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in project for extra in extras[0].split(","))


@pytest.mark.search
def test_the_compose_file() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifests_of_kubernetes() -> None:
    found = documents(JOB)
    assert [document["kind"] for document in found] == ["Secret", "Job"]
    for document in found:
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_a_manifest_with_a_mistake_is_refused() -> None:
    job = documents(JOB)[1]
    job["spec"]["complections"] = job["spec"].pop("completions")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.37", strict=True)


def test_the_pods_of_the_job_are_all_shards(tmp_path: Path) -> None:
    secret, job = documents(JOB)
    spec = job["spec"]
    container = spec["template"]["spec"]["containers"][0]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert spec["completions"] == spec["parallelism"] == int(environment["COMPLETIONS"])
    shards = {shard_of(None, environment | {"JOB_COMPLETION_INDEX": str(n)}) for n in range(4)}
    assert shards == {(n, 4) for n in range(4)}
    file = tmp_path / "fleet.yaml"
    file.write_text(secret["stringData"]["fleet.yaml"])
    assert plan_from(load(file)).count == 10_000


def test_nothing_runs_as_root_or_may_become_it() -> None:
    pod = documents(JOB)[1]["spec"]["template"]["spec"]
    user = re.search(r"^USER (\d+):\d+$", CONTAINERFILE.read_text(), re.MULTILINE)
    assert user is not None
    assert pod["securityContext"]["runAsUser"] == int(user[1]) > 0
    assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    for service in services().values():
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("words", [
    *(pytest.param(service["command"], id=name) for name, service in services().items()),
    pytest.param(documents(JOB)[1]["spec"]["template"]["spec"]["containers"][0]["args"], id="job"),
])  # fmt: skip
def test_the_command_line_understands_what_containers_run(words: list[str]) -> None:
    understood(words)


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_file_can_be_read(path: Path) -> None:
    assert documents(path)
