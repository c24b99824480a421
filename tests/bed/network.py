"""The private daemon's bridge, and taking back what a daemon changes in the host's network."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .process import program, run
from .state import Bed, BedError

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_TABLES = ("filter", "nat", "raw", "mangle")
_FAMILIES = ("iptables", "ip6tables")
# What dockerd names the bridge of a network that a user made.
_USER_BRIDGE = re.compile(r"br-[0-9a-f]{12}")


def pick_subnet(taken: Iterable[str]) -> str:
    """A /24 that overlaps none of the networks in `taken`; other words in there are ignored."""
    used = []
    for word in taken:
        with contextlib.suppress(ValueError):
            used.append(ipaddress.IPv4Network(word, strict=False))
    for number in [*range(31, 15, -1)]:
        subnet = ipaddress.IPv4Network(f"172.{number}.213.0/24")
        if not any(subnet.overlaps(one) for one in used):
            return str(subnet)
    raise BedError(
        "No /24 below 172.16.0.0/12 is free for the engine's bridge.",
        evidence=f"in use: {', '.join(map(str, used))}",
        mend="take a route or a bridge away that is not needed (`ip route`, `ip link`).",
    )


def make_bridge(bed: Bed) -> str:
    """Makes the bridge anew, with the first address of a free subnet; returns the subnet.

    It is ours and not `docker0`, so that a second daemon and its bridge are not touched.
    """
    if has_bridge(bed):
        run(["ip", "link", "del", bed.bridge])
    routes = [str(route.get("dst")) for route in _ip("-4", "route", "show", "table", "all")]
    subnet = pick_subnet(routes)
    address = ipaddress.IPv4Network(subnet)[1]
    mend = "run as root with all capabilities; in a container, it has to be a privileged one."
    run(["ip", "link", "add", bed.bridge, "type", "bridge"], mend=mend)
    run(["ip", "address", "add", f"{address}/24", "dev", bed.bridge])
    run(["ip", "link", "set", bed.bridge, "up"])
    return subnet


def has_bridge(bed: Bed) -> bool:
    """Whether this bed's bridge is there."""
    return bed.bridge in _links()


def before() -> dict[str, Any]:
    """The parts of the host's network that a Docker daemon changes, as they are now."""
    return {
        "ip_forward": _FORWARD.read_text().strip(),
        "policy": {family: _policy(_rules(family, "filter")) for family in _FAMILIES},
        "chains": any("-N DOCKER" in _rules(family, "filter") for family in _FAMILIES),
        "links": _links(),
    }


def undo(bed: Bed, earlier: dict[str, Any], *, shared: bool) -> None:
    """Takes the bridge away and the rules that went with it.

    With `shared`, another Docker daemon runs: then only what names our bridge goes, and the chains
    that all daemons use stay.
    """
    chains = not shared and not earlier.get("chains", True)
    known = set(earlier.get("links", []))
    gone = {bed.bridge} | {
        link for link in _links() if chains and _USER_BRIDGE.fullmatch(link) and link not in known
    }
    for family in _FAMILIES:
        for table in _TABLES:
            for words in undo_rules(_rules(family, table), gone, chains=chains):
                _tables(family, table, *words)
        if chains and (policy := earlier.get("policy", {}).get(family)):
            _tables(family, "filter", "-P", "FORWARD", policy)
    if chains and earlier.get("ip_forward") == "0":
        _FORWARD.write_text("0\n")
    for link in sorted(gone.intersection(_links())):
        run(["ip", "link", "del", link])


def undo_rules(listing: str, links: set[str], *, chains: bool) -> list[list[str]]:
    """What to tell iptables, from what its -S lists, so that no rule is left that names `links`.

    With `chains`, Docker's own chains and every rule that jumps to one go too.
    """
    rules = [shlex.split(line) for line in listing.splitlines()]
    docker = [words[1] for words in rules if words[0] == "-N" and words[1].startswith("DOCKER")]
    goes = links.union(docker) if chains else links
    delete = [
        ["-D", *words[1:]]
        for words in rules
        if words[0] == "-A" and goes.intersection(words[2:]) and not (chains and words[1] in docker)
    ]
    if chains:
        delete += [["-F", chain] for chain in docker] + [["-X", chain] for chain in docker]
    return delete


def _policy(listing: str) -> str:
    match = re.search(r"^-P FORWARD (\w+)$", listing, re.MULTILINE)
    return match[1] if match else ""


def _rules(family: str, table: str) -> str:
    return _tables(family, table, "-S")


def _tables(family: str, table: str, *words: str) -> str:
    # A family or table that this kernel lacks has nothing in it that could be taken back.
    if program(family) is None:
        return ""
    try:
        return run([family, "--wait", "5", "--table", table, *words])
    except BedError:
        return ""


def _links() -> list[str]:
    return [link.name for link in Path("/sys/class/net").iterdir()]


def _ip(*words: str) -> list[dict[str, Any]]:
    listed = json.loads(run(["ip", "-json", *words]) or "[]")
    return [one for one in listed if one]
