"""Writes the tables of docs/templates.md anew; run it with the page's path."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from chargepoint.config import ConnectorConfig
from chargepoint.config.quirks import QuirksConfig
from chargepoint.config.wording import expected, rendered
from chargepoint.fleet.plan.template import Template, load_template, template_names

_ALL = "all"


def templates() -> Iterator[str]:
    """The table of station types."""
    yield "| name | what it is | outlets | profiles beside Core | quirks |"
    yield "| --- | --- | --- | --- | --- |"
    for template in map(load_template, template_names()):
        cells = (
            f"`{template.name}`",
            f"**{template.title}.** {template.description}",
            _outlets(template),
            _profiles(template),
            "<br>".join(f"`{name}: {rendered(value)}`" for name, value in template.quirks),
        )
        yield f"| {' | '.join(cells)} |"


def sources() -> Iterator[str]:
    """What each station type follows."""
    yield "| name | follows |"
    yield "| --- | --- |"
    for template in map(load_template, template_names()):
        yield f"| `{template.name}` | {'; '.join(template.modelled_on)} |"


def quirks() -> Iterator[str]:
    """The table of bad habits."""
    yield "| name | takes | what it does, and who does that |"
    yield "| --- | --- | --- |"
    for name, field in QuirksConfig.model_fields.items():
        yield f"| `{name}` | {expected(name, field)} | {field.description} |"


def page(text: str) -> str:
    """The page with its tables written anew."""
    for name, lines in (("templates", templates()), ("sources", sources()), ("quirks", quirks())):
        table = "".join(f"{line}\n" for line in lines)
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = marked.subn(lambda match, table=table: match[1] + table + match[2], text)  # type: ignore[misc]  # mypy infers no lambda with a default
        assert found == 1, name
    return text


def _outlets(template: Template) -> str:
    connectors = template.config.connectors
    kinds = list(dict.fromkeys(_outlet(connector) for connector in connectors))
    counts = [sum(_outlet(connector) == kind for connector in connectors) for kind in kinds]
    return "<br>".join(f"{count} x {kind}" for count, kind in zip(counts, kinds, strict=True))


def _outlet(connector: ConnectorConfig) -> str:
    if connector.current == "dc":
        return f"DC {(connector.max_power_w or 0) / 1000:g} kW, {connector.max_current_a:g} A"
    phases = "1 phase" if connector.phases == 1 else f"{connector.phases} phases"
    return f"AC {connector.cable}, {phases}, {connector.max_current_a:g} A"


def _profiles(template: Template) -> str:
    listed = template.config.ocpp.get("SupportedFeatureProfiles")
    return _ALL if listed is None else ", ".join(listed.split(",")[1:]) or "none"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")
