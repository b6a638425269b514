"""How downloaded firmware gets into place, in a configuration."""

from __future__ import annotations

import shutil
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from chargepoint.config.section import Context, Section, mistake

__all__ = ["FirmwareConfig"]


class FirmwareConfig(Section):
    """What installs a firmware update once it is downloaded."""

    installer: Literal["simulated", "command"] = Field(
        default="simulated",
        description="simulated: only the version changes; command: a program of this host puts the file "
        "in place.",
    )
    command: tuple[str, ...] = Field(
        default=(),
        validate_default=True,
        description="The program and its arguments as a list; no shell is involved. `{file}` and "
        "`{version}` are replaced; CHARGEPOINT_FIRMWARE_FILE and CHARGEPOINT_FIRMWARE_VERSION say the same "
        "in the environment. Exit code 0 is success; `version=1.2.3` as the last line of output names the "
        "new version.",
    )
    timeout_s: float = Field(
        default=600,
        ge=1,
        le=86400,
        description="After this time the program is killed and the update failed.",
    )
    blocks_charging: bool = Field(
        default=True,
        description="No vehicle can charge during an installation; it waits until the last transaction ends.",
    )

    @field_validator("command")
    @classmethod
    def _can_be_run(cls, command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("installer") == "command" and not "".join(command[:1]).strip():
            raise mistake("is needed by installer command; write the program and its arguments as a list")
        if command and info.data.get("installer") == "simulated":
            raise mistake("is used by installer command only; write that, or remove it")
        looking = isinstance(info.context, Context) and info.context.look_for_files
        if looking and command and shutil.which(command[0]) is None:
            raise mistake(f'names no program that can be run (is "{command[0]}"); check the path')
        return command
