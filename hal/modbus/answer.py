"""Whether an answer is the one to a request, and what to tell people about those that are not."""

from __future__ import annotations

from typing import Any

from hal.modbus.wire import NoAnswer, Request

BUSY = (5, 6)
"""Exception codes worth one more try: acknowledged but still working, and busy."""

GATEWAY = (10, 11)
"""Exception codes with which a gateway speaks for a unit that does not."""

_EXCEPTIONS = {
    1: "it does not know the function",
    2: "it has no such address",
    3: "it does not take the value",
    4: "it failed",
    5: "it is still working",
    6: "it is busy",
    7: "it refuses",
    8: "its memory is faulty",
    10: "the gateway has no way to it",
    11: "the gateway got no answer from it",
}


class Mismatch(Exception):
    """An answer to something else."""


def check_shape(request: Request, answer: Any) -> None:
    """Raise `Mismatch` unless function, length and, for a write, address of the answer are the request's."""
    if answer.function_code & 0x7F != request.function:
        raise Mismatch(f"it answered function {answer.function_code & 0x7F}")
    if answer.isError():
        return
    if request.values is not None:
        got, wanted = f"{answer.count} at {answer.address}", f"{request.count} at {request.address}"
    elif request.function in (3, 4):
        got, wanted = f"{len(answer.registers)} registers", f"{request.count} registers"
    else:
        got, wanted = f"{len(answer.bits)} bits", f"{(request.count + 7) // 8 * 8} bits"
    if got != wanted:
        raise Mismatch(f"it answered {got} instead of {wanted}")


def exception_text(code: int) -> str:
    """What a Modbus exception code means."""
    return f"exception {code}, {_EXCEPTIONS.get(code, 'of its own making')}"


def advice(error: NoAnswer) -> str:
    """What a person may look at when there is no answer."""
    if error.garbled:
        return (
            f"{error}; speed and parity as the device's? terminated at both ends? two devices with one unit?"
        )
    return f"{error}; is it on? A and B swapped? unit and speed as set in the device?"
