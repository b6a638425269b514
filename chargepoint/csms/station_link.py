"""One station's connection: its frames answered, ours sent one at a time."""

# mypy: disable-error-code="no-untyped-call"
# `ocpp` comes without types for its methods.

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

from ocpp.exceptions import FormationViolationError, OCPPError
from ocpp.messages import Call, CallError, CallResult, unpack, validate_payload
from ocpp.v16.enums import Action
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from chargepoint.csms.answers import Answer
from chargepoint.csms.back_office import BackOffice, Station
from chargepoint.csms.calls import CallFailed, CallTimeout, LostOnTheWay, NotConnected, Waiting
from chargepoint.csms.events import text_without_secrets
from chargepoint.csms.usual_answers import UsualAnswers
from chargepoint.domain.chance import message_id
from hal.clock import SteppedClock

_LOGGER = logging.getLogger("chargepoint.csms")
_ACTIONS = frozenset(Action)
_HEARD_WITHIN_S = 1.0  # real; a link that has died is silent
_MESSAGE_CUT = 300  # characters; an error may repeat a frame of megabytes


class StationLink(UsualAnswers):
    """Answers a station's CALLs as usual or as set, and makes ours (OCPP-J 1.6 §4.1.1, §4.2)."""

    def __init__(self, station: Station, socket: ServerConnection, office: BackOffice, seed: int) -> None:
        super().__init__(station, socket, office)
        self.closed = False
        self.socket = socket
        self._seed = seed
        self._reply = ""  # what the package answers to the CALL in hand
        self._awaited: tuple[str, asyncio.Future[CallResult | CallError], Waiting] | None = None

    async def start(self) -> None:
        """Answer frames until the socket is gone; raises `ConnectionClosed` then."""
        while True:
            frame = await self.socket.recv()
            with self.office.held():
                await self._receive(frame)

    async def _receive(self, frame: str | bytes) -> None:
        self.station.heard_at = self.office.clock.now()
        if isinstance(frame, bytes):
            self._complain(f"a binary frame of {len(frame)} bytes was ignored")
            return
        self.office.emit_frame(self.id, "rx", frame)
        try:
            await self.route_message(frame)
        except ConnectionClosed:
            raise
        except Exception as error:  # one frame never ends the link: a nesting too deep, a number too long
            _LOGGER.warning("%s: a frame could not be handled: %s", self.id, type(error).__name__)
            self._complain(f"a frame could not be handled: {type(error).__name__}")

    async def route_message(self, raw_msg: str) -> None:
        """Answer a CALL, or give an answer to the CALL of ours that waits for it."""
        try:
            message = unpack(raw_msg)
        except OCPPError as error:
            self._complain(f"not an OCPP-J frame: {_cause(error)}")
            return
        if isinstance(message, Call):
            await self._answer(message)
        elif self._awaited is None or self._awaited[0] != message.unique_id:
            self._complain("an answer to no CALL of ours was ignored")
        elif not self._awaited[1].done():
            self._awaited[1].set_result(message)

    async def _answer(self, request: Call) -> None:
        answer = self._answer_set_for(request)
        if answer is None:
            await self._deliver(request, await self._usual_reply(request))
            return
        reply = await self._reply_set(request, answer)
        if answer.silent:
            if self.office.on_withheld is not None:
                self.office.on_withheld(self.id, request.unique_id)
            return
        if answer.delay_s:
            if self.office.on_withheld is not None:
                self.office.on_withheld(self.id, request.unique_id)
            self.office.after(answer.delay_s, lambda: self._deliver_late(request, reply))
        else:
            await self._deliver(request, reply)

    def _answer_set_for(self, request: Call) -> Answer | None:
        if not isinstance(request.action, str):
            return None
        return self.office.answers.take(request.action, self.id, request.payload)

    async def _usual_reply(self, request: Call) -> str:
        """What the package makes of it: the payload is checked, the action's handler says what to answer."""
        self.request, self.started, self._reply = request.payload, None, ""
        try:
            if not isinstance(request.action, str):
                raise FormationViolationError(details={"cause": "the action is not a string"})
            await self._handle_call(request)
        except OCPPError as error:
            self._complain(f"{request.action} is not valid: {_cause(error)}")
            self._reply = request.create_call_error(error).to_json()
        return self._reply

    async def _send(self, message: str) -> None:
        """Where the package sends its answer: kept, because it may go out late, changed or never."""
        self._reply = message

    async def _reply_set(self, request: Call, answer: Answer) -> str:
        if answer.error is not None:
            self._note_refused(request)
            return str(CallError(request.unique_id, answer.error, "", {}).to_json())
        usual = await self._usual_reply(request)
        if answer.payload is None:
            return usual
        frame = json.loads(usual)
        payload = answer.completed(request.action, frame[2] if frame[0] == CallResult.message_type_id else {})
        if self.started is not None:
            self.station.ledger.answered(self.started, payload)
        return str(CallResult(request.unique_id, payload).to_json())

    def _note_refused(self, request: Call) -> None:
        """A refused stop bills nothing, but it is a stop record that the station sent."""
        payload = request.payload
        if (
            request.action == Action.stop_transaction
            and isinstance(payload, dict)
            and isinstance(payload.get("transactionId"), int)
        ):
            self.station.ledger.stop(payload, refused=True)

    async def _deliver(self, request: Call, reply: str) -> None:
        await self._transmit(reply)
        if reply.startswith("[3,"):
            self.office.answered(self.id, request.action, request.payload)

    async def _deliver_late(self, request: Call, reply: str) -> None:
        try:
            await self._deliver(request, reply)
            if isinstance(self.office.clock, SteppedClock):
                await self._until_heard()
        except ConnectionClosed:
            self._complain(f"the link was gone before {request.action} was answered")

    async def _until_heard(self) -> None:
        """Wait until the station has what was sent: nobody else keeps time from passing it by."""
        pong = await self.socket.ping()
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARD_WITHIN_S):
                await pong

    async def _transmit(self, text: str) -> None:
        await self.socket.send(text)
        self.office.emit_frame(self.id, "tx", text)

    def _complain(self, message: str) -> None:
        self.office.emit("error", self.id, message=text_without_secrets(message)[:_MESSAGE_CUT])

    async def ask(self, action: str, payload: Any, timeout_s: float, waiting: Waiting) -> dict[str, Any]:
        """Send a CALL as given, valid or not, after those asked for before; returns the answer's payload.

        Raises `CallFailed`, `CallTimeout` after `timeout_s` from the sending on, `NotConnected`. The
        package's `call` cannot serve: it sends nothing invalid and waits in vain when the link is gone.
        """
        async with self._call_lock:
            if self.closed:
                raise NotConnected(self.id)
            unique_id = message_id(self._seed, f"csms/{self.id}", 0, self.station.calls)
            self.station.calls += 1
            future: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
            self._awaited = (unique_id, future, waiting)
            try:
                async with asyncio.timeout(timeout_s):
                    await self._transmit(Call(unique_id, action, payload).to_json())
                    answer = await future
            except LostOnTheWay:
                raise CallTimeout(action, 0.0) from None
            except TimeoutError:
                raise CallTimeout(action, timeout_s) from None
            except ConnectionClosed:
                raise NotConnected(self.id) from None
            finally:
                self._awaited = None
        return await self._result(action, answer)

    def under_way(self, unique_id: str, under_way: bool) -> None:
        """Whether something real happens for that CALL of ours."""
        if self._awaited is not None and self._awaited[0] == unique_id:
            self._awaited[2].hold(under_way)

    def lost_on_the_way(self, unique_id: str) -> None:
        """The answer to that CALL of ours will not come."""
        if self._awaited is not None and self._awaited[0] == unique_id and not self._awaited[1].done():
            self._awaited[1].set_exception(LostOnTheWay())

    async def _result(self, action: str, answer: CallResult | CallError) -> dict[str, Any]:
        if isinstance(answer, CallError):
            raise CallFailed(str(answer.error_code), str(answer.error_description))
        # `null` is to be read as an empty payload (OCPP-J 1.6 §4.2.1).
        result = {} if answer.payload is None else answer.payload
        try:
            if action in _ACTIONS:
                # A new object, because the package turns the numbers of what it checks into Decimals.
                await validate_payload(CallResult(answer.unique_id, result, action), self._ocpp_version)
            elif not isinstance(result, dict):
                raise FormationViolationError(details={"cause": "the payload is not an object"})
        except OCPPError as error:
            self._complain(f"the answer to {action} is not valid: {_cause(error)}")
            raise CallFailed(
                getattr(error, "code", "GenericError"), f"the answer is not valid: {_cause(error)}"
            ) from None
        return dict(result)

    def leave(self) -> None:
        """The socket is gone: whoever waits for an answer is told so; idempotent."""
        self.closed = True
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_exception(NotConnected(self.id))


def _cause(error: OCPPError) -> str:
    """What was wrong, without the frame the package puts beside it."""
    return str(error.details.get("cause", error.description))
