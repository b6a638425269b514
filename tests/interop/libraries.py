"""The foreign libraries: what each needs on the machine, how its server is made and how it is started."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / ".build"

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of the toolchain, the oldest version that will do, and how to get it."""

    program: str
    asks_version: Command
    oldest: tuple[int, ...]
    install: str

    def missing(self) -> str | None:
        """What is wrong with it, with the remedy; None if nothing is."""
        if shutil.which(self.program) is None:
            return f"there is no {self.program}: {self.install}"
        said = subprocess.run((self.program, *self.asks_version), capture_output=True, text=True, check=False)
        # The look-behind passes over the 1 in "\x1b[1m", by which Maven begins.
        found = re.search(r"(?<![\[\d])\d+(\.\d+)*", said.stdout + said.stderr)
        if found is None or tuple(map(int, found[0].split("."))) < self.oldest:
            wanted = ".".join(map(str, self.oldest))
            return f"{self.program} {found[0] if found else '?'} is older than {wanted}: {self.install}"
        return None


@dataclass(frozen=True, slots=True)
class Library:
    """A central system on one foreign library.

    `fetch` needs the registry and may fail without blame; `compile` needs nothing but what was fetched. Both
    run in a copy of `sources`, and so does `run`, to which the port is appended.
    """

    name: str
    tools: tuple[Tool, ...]
    sources: tuple[str, ...]
    fetch: Command
    compile: Command | None
    run: Command

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return BUILT / self.name

    @property
    def stamp(self) -> Path:
        """Written last: the sources this was built from."""
        return self.folder / ".built"

    def digest(self) -> str:
        """What the stamp must say."""
        texts = b"\0".join((HERE / self.name / source).read_bytes() for source in self.sources)
        return hashlib.sha256(texts + repr(self).encode()).hexdigest()

    def built(self) -> bool:
        """Whether it can be started as it is."""
        return self.stamp.is_file() and self.stamp.read_text() == self.digest()

    def missing(self) -> str | None:
        """The first of its tools that is not there, with the remedy."""
        return next(filter(None, (tool.missing() for tool in self.tools)), None)


NODE = Library(
    name="node",
    tools=(
        Tool("node", ("--version",), (18,), "sudo apt-get install nodejs"),
        Tool("npm", ("--version",), (8,), "sudo apt-get install npm"),
    ),
    sources=("package.json", "package-lock.json", "server.js"),
    fetch=(
        "npm",
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
        "--loglevel=error",
    ),
    compile=None,
    run=("node", "server.js"),
)

GO = Library(
    name="go",
    tools=(Tool("go", ("version",), (1, 19), "sudo apt-get install golang-go"),),
    sources=("go.mod", "go.sum", "main.go"),
    fetch=("go", "mod", "download"),
    compile=("go", "build", "-mod=readonly", "-o", "central-system", "."),
    run=("./central-system",),
)

JAVA = Library(
    name="java",
    tools=(
        Tool("javac", ("-version",), (17,), "sudo apt-get install openjdk-17-jdk-headless"),
        Tool("mvn", ("--version",), (3,), "sudo apt-get install maven"),
    ),
    sources=("pom.xml", "CentralSystem.java"),
    fetch=("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"),
    compile=("javac", "-d", "classes", "-cp", "lib/*", "CentralSystem.java"),
    run=("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "classes:lib/*", "CentralSystem"),
)

LIBRARIES = (NODE, GO, JAVA)
