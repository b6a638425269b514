"""Local authorization list (TC_008, TC_042, TC_043)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import case
from tests.conformance.expected import Payload, authorize, start, status
from tests.conformance.rig import ACCEPTED, NOT_SUPPORTED, TX, Refused, Rig

WITHOUT_THE_PROFILE = {"SupportedFeatureProfiles": "Core,RemoteTrigger"}


async def _send(cp: Rig, kind: str, version: int, *tags: str, status: str = "Accepted") -> Payload | Refused:
    entries = [{"idTag": id_tag, "idTagInfo": {"status": status}} for id_tag in tags]
    request: dict[str, Any] = {"listVersion": version, "updateType": kind}
    return await cp.call("SendLocalList", **request, localAuthorizationList=entries)


async def _version(cp: Rig) -> int:
    answer = await cp.call("GetLocalListVersion")
    assert isinstance(answer, dict)
    return int(answer["listVersion"])


@case()
async def test_tc_008_1_listed_id_local(cp: Rig) -> None:
    """With LocalPreAuthorize a tag on the local list starts without Authorize: Preparing, StartTransaction,
    Charging."""
    await cp.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True)
    assert await _send(cp, "Full", 1, "TAG") == ACCEPTED
    await cp.plug_in()
    await cp.swipe("TAG")
    await cp.wait(5)
    cp.hears(status(1, "Preparing"), start("TAG"), status(1, "Charging"))
    await cp.end(transaction_id=TX)


@case()
async def test_tc_008_2_listed_id_remote(cp: Rig) -> None:
    """With LocalPreAuthorize and AuthorizeRemoteTxRequests a remote start of a tag on the local list starts
    without Authorize: Preparing, StartTransaction, Charging."""
    await cp.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    assert await _send(cp, "Full", 1, "TAG") == ACCEPTED
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
    cp.hears(status(1, "Preparing"))
    await cp.plug_in()
    await cp.wait(5)
    cp.hears(start("TAG"), status(1, "Charging"))


@case(ocpp=WITHOUT_THE_PROFILE)
async def test_tc_042_1_version_not_supported(cp: Rig) -> None:
    """GetLocalListVersion at a station without the profile: -1."""
    assert await _version(cp) == -1


@case()
async def test_tc_042_1_version_disabled(cp: Rig) -> None:
    """GetLocalListVersion with LocalAuthListEnabled false: -1."""
    await cp.configure(LocalAuthListEnabled=False)
    assert await _version(cp) == -1


@case()
async def test_tc_042_2_version_empty(cp: Rig) -> None:
    """After an empty Full list GetLocalListVersion answers 0, whatever version was sent."""
    assert await _version(cp) == 0
    assert await _send(cp, "Full", 7, "TAG") == ACCEPTED
    assert await _version(cp) == 7
    assert await _send(cp, "Full", 8) == ACCEPTED
    assert await _version(cp) == 0


@case()
async def test_tc_043_send_list(cp: Rig) -> None:
    """SendLocalList Full, then Differential: Accepted, each version is reported, and the entries count: a
    listed tag starts without Authorize, a removed one does not."""
    await cp.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True)
    assert await _send(cp, "Full", 1, "ONE", "TWO") == ACCEPTED
    assert await _version(cp) == 1
    assert await _send(cp, "Differential", 2, "THREE") == ACCEPTED
    removal = [{"idTag": "ONE"}]
    assert (
        await cp.call(
            "SendLocalList", listVersion=3, updateType="Differential", localAuthorizationList=removal
        )
        == ACCEPTED
    )
    assert await _version(cp) == 3
    await cp.plug_in()
    await cp.swipe("ONE")
    await cp.wait(5)
    cp.hears(status(1, "Preparing"), authorize("ONE"), start("ONE"), status(1, "Charging"))
    await cp.end("ONE", transaction_id=TX)
    for n, id_tag in enumerate(("TWO", "THREE"), 1):
        await cp.plug_in()
        await cp.swipe(id_tag)
        await cp.wait(5)
        cp.hears(status(1, "Preparing"), start(id_tag), status(1, "Charging"))
        await cp.end(id_tag, transaction_id=TX + n)


@case(ocpp=WITHOUT_THE_PROFILE)
async def test_tc_043_1_not_supported(cp: Rig) -> None:
    """SendLocalList at a station without the profile: NotSupported."""
    assert await _send(cp, "Full", 1, "TAG") == NOT_SUPPORTED


@case()
async def test_tc_043_2_version_mismatch(cp: Rig) -> None:
    """A Differential list that is not newer: VersionMismatch, version and entries stay."""
    await cp.configure(LocalPreAuthorize=True)
    assert await _send(cp, "Full", 2, "TAG") == ACCEPTED
    assert await _send(cp, "Differential", 5, "OTHER") == ACCEPTED
    for version in (4, 5):
        assert await _send(cp, "Differential", version, "TAG", status="Blocked") == {
            "status": "VersionMismatch"
        }
    assert await _version(cp) == 5
    await cp.plug_in()
    await cp.swipe("TAG")
    cp.hears(status(1, "Preparing"), start("TAG"))


@case(ocpp={"SendLocalListMaxLength": "2"})
async def test_tc_043_3_failed(cp: Rig) -> None:
    """A list that cannot be stored (a tag twice, too many entries): Failed, version and entries stay."""
    await cp.configure(LocalPreAuthorize=True)
    assert await _send(cp, "Full", 2, "TAG") == ACCEPTED
    assert await _send(cp, "Full", 3, "OTHER", "other") == {"status": "Failed"}
    assert await _send(cp, "Full", 3, "ONE", "TWO", "THREE") == {"status": "Failed"}
    assert await _version(cp) == 2
    await cp.plug_in()
    await cp.swipe("TAG")
    cp.hears(status(1, "Preparing"), start("TAG"))
