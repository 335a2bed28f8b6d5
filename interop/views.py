"""What a node says about its sessions and routes, in one form for every daemon.

A session: `{neighbor, state}` and more where the daemon tells it, `state` as in CONTRACT.md (`established`, ...).
A route:   `{prefix, neighbor, path_id, as_path, next_hop, origin, med, local_pref, communities, large_communities,
ext_communities, best}`; what a route does not have is None or an empty list, communities are sorted.
"""

import json
import re
import shlex

SESSION_STATES = {"opensent": "open_sent", "openconfirm": "open_confirm"}


def route(prefix, **fields):
    """A route with every field there is."""
    base = {
        "prefix": prefix, "neighbor": None, "path_id": None, "as_path": "", "next_hop": None, "origin": None,
        "med": None, "local_pref": None, "communities": [], "large_communities": [], "ext_communities": [], "best": None,
    }
    base.update(fields)
    for name in ("communities", "large_communities", "ext_communities"):
        base[name] = sorted(base[name] or [])
    return base


class View:
    """Asks one node; `lab` runs the commands inside it."""

    version_command = ""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name

    def ask(self, command):
        code, text = self.lab.exec(self.name, shlex.split(command))
        return text if code == 0 else ""

    def ask_json(self, command, default):
        text = self.ask(command)
        start = min((text.find(c) for c in "{[" if c in text), default=-1)
        try:
            return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else default
        except json.JSONDecodeError:
            return default

    def best(self):
        """Neighbour of the best path, by prefix; nothing of prefixes that the node itself is on."""
        return {r["prefix"]: r["neighbor"] for r in self.routes() if r["best"] and r["neighbor"]}

    def validity(self):
        """Origin validation state of each route, `valid`, `invalid` or `not_found`, by prefix (RFC 6811)."""
        return {}

    def why(self, prefix):
        """What the node says about the paths of one prefix, for a person."""
        return ""

    def version(self):
        lines = self.lab.exec(self.name, shlex.split(self.version_command))[1].strip().splitlines()
        return lines[0] if lines else "version unknown"


class RibwatchView(View):
    """Through its own command line: what an operator sees is what is checked."""

    program = "/run/bin/ribwatch"
    version_command = "/run/bin/ribwatch --version"

    def lines(self, arguments):
        found = []
        for line in self.ask(f"{self.program} {arguments} --json").splitlines():
            if line.startswith("{"):
                found.append(json.loads(line))
        return found

    def sessions(self):
        return [{**s, "neighbor": s.get("address")} for s in self.lines("neighbor")]

    def routes(self, table="loc", neighbor=None):
        arguments = f"rib --table {table}" + (f" --neighbor {neighbor}" if neighbor else "")
        return [route(**r) for r in self.lines(arguments)]

    def validity(self):
        found = {}
        for word, state in (("valid", "valid"), ("invalid", "invalid"), ("not-found", "not_found")):
            for r in self.lines(f"rib --table adj-in --validation {word}"):
                # A route under two words, or under one that is not what it says of itself, is neither.
                found[r["prefix"]] = state if r["prefix"] not in found and r["validation"] == state else None
        return found

    def why(self, prefix):
        return self.ask(f"{self.program} explain {prefix} --no-color")


class FrrView(View):
    version_command = "/usr/lib/frr/bgpd --version"

    def vtysh(self, *commands):
        return "vtysh --vty_socket /run " + " ".join(f"-c {shlex.quote(c)}" for c in commands)

    def sessions(self):
        peers = {}
        for family in self.ask_json(self.vtysh("show bgp summary json"), {}).values():
            peers.update(family.get("peers", {}) if isinstance(family, dict) else {})
        return [{"neighbor": a, "state": _state(p.get("state", "")), "remote_asn": p.get("remoteAs")}
                for a, p in peers.items()]

    def routes(self, table="loc", neighbor=None):
        found = []
        for family in ("ipv4", "ipv6"):
            listed = self.ask_json(self.vtysh(f"show bgp {family} unicast json"), {}).get("routes", {})
            for prefix in listed:
                detail = self.ask_json(self.vtysh(f"show bgp {family} unicast {prefix} json"), {})
                found += [self._route(prefix, path) for path in detail.get("paths", [])]
        return [r for r in found if neighbor in (None, r["neighbor"])]

    def validity(self):
        # `show bgp ... rpki valid json` of FRR 8.4 lists every prefix: each route is asked for, all in one call.
        found, decoder = {}, json.JSONDecoder()
        for family in ("ipv4", "ipv6"):
            listed = self.ask_json(self.vtysh(f"show bgp {family} unicast json"), {}).get("routes", {})
            text = self.ask(self.vtysh(*[f"show bgp {family} unicast {prefix} json" for prefix in listed])) if listed else ""
            while (start := text.find("{")) >= 0:
                try:
                    detail, end = decoder.raw_decode(text, start)
                except json.JSONDecodeError:
                    break
                text = text[end:]
                for path in detail.get("paths", []):
                    found[detail["prefix"]] = path.get("rpkiValidationState", "").replace(" ", "_")
        return found

    @staticmethod
    def _route(prefix, path):
        hops = [hop for hop in path.get("nexthops", []) if hop.get("scope") != "link-local"]
        ext = re.sub(r"\bRT:", "rt:", path.get("extendedCommunity", {}).get("string", ""))
        return route(
            prefix,
            neighbor=path.get("peer", {}).get("peerId"),
            path_id=path.get("addPathId", path.get("rxPathId")) or None,
            as_path=path.get("aspath", {}).get("string", "").replace("Local", ""),
            next_hop=hops[0]["ip"] if hops else None,
            origin=path.get("origin", "").lower() or None,
            med=path.get("metric", path.get("med")),
            local_pref=path.get("locPrf"),
            communities=[_well_known(c) for c in path.get("community", {}).get("list", [])],
            large_communities=path.get("largeCommunity", {}).get("list", []),
            ext_communities=ext.split(),
            best=bool(path.get("bestpath", {}).get("overall")),
        )


class BirdView(View):
    version_command = "bird --version"

    def birdc(self, command):
        return self.ask(f"birdc -s /run/bird.ctl -r {command}")

    def sessions(self):
        found = []
        for block in self.birdc("show protocols all").split("\n\n"):
            address = re.search(r"Neighbor address: (\S+)", block)
            state = re.search(r"BGP state:\s+(\S+)", block)
            if address and state:
                found.append({"neighbor": address[1].split("%")[0], "state": _state(state[1])})
        return found

    def protocols(self):
        """Address of the neighbour of each BGP protocol, by name."""
        found = {}
        for block in self.birdc("show protocols all").split("\n\n"):
            name = re.search(r"^(\S+) +BGP ", block, re.M)
            address = re.search(r"Neighbor address: (\S+)", block)
            if name and address:
                found[name[1]] = address[1]
        return found

    def routes(self, table="loc", neighbor=None):
        protocols, found, prefix = self.protocols(), [], None
        for line in self.birdc("show route all").splitlines():
            head = re.match(r"(\S*)\s+(?:unicast|blackhole|unreachable)\s+\[(\S+) \S+(?: from (\S+))?\]( \*)?", line)
            if head:
                prefix = head[1] or prefix
                source = (head[3] or protocols.get(head[2]) or "").split("%")[0] or None
                found.append(route(prefix, neighbor=source, best=bool(head[4])))
            elif found:
                self._attribute(found[-1], line)
        return [route(**r) for r in found if neighbor in (None, r["neighbor"])]

    def validity(self):
        """By the community that the scenario's filter sets from what `roa_check` says."""
        states = {"64496:1": "valid", "64496:2": "invalid", "64496:3": "not_found"}
        return {r["prefix"]: next((states[c] for c in r["communities"] if c in states), None) for r in self.routes()
                if r["communities"]}

    def why(self, prefix):
        return self.birdc(f"show route all {prefix}")

    @staticmethod
    def _attribute(into, line):
        match = re.match(r"\s+BGP\.(\w+): ?(.*)", line)
        if not match:
            return
        name, value = match.groups()
        lists = {"community": "communities", "large_community": "large_communities", "ext_community": "ext_communities"}
        if name in lists:
            values = [re.sub(r",\s*", ":", item) for item in re.findall(r"\(([^)]*)\)", value)]
            into[lists[name]] = [_well_known(v) for v in values]
        elif name in ("med", "local_pref"):
            into[name] = int(value)
        elif name == "next_hop":
            into[name] = value.split()[0]
        elif name == "as_path":
            into[name] = value.strip()
        elif name == "origin":
            into[name] = value.lower()
        elif name == "path_id":
            into["path_id"] = int(value)


class GobgpView(View):
    version_command = "gobgpd --version"

    def sessions(self):
        states = ["unknown", "idle", "connect", "active", "open_sent", "open_confirm", "established"]
        found = []
        for peer in self.ask_json("gobgp -j neighbor", []):
            state = peer.get("state", {}).get("session_state", 0)
            found.append({"neighbor": peer["conf"]["neighbor_address"], "state": states[state]})
        return found

    def routes(self, table="loc", neighbor=None):
        found = []
        for family in ("ipv4", "ipv6"):
            for prefix, paths in self.ask_json(f"gobgp -j global rib -a {family}", {}).items():
                found += [self._route(prefix, path) for path in paths]
        return [r for r in found if neighbor in (None, r["neighbor"])]

    @staticmethod
    def _route(prefix, path):
        fields = {"neighbor": path.get("neighbor-ip") or path.get("neighbor_ip"), "best": bool(path.get("best"))}
        for attribute in path.get("attrs", []):
            code = attribute.get("type")
            if code == 1:
                fields["origin"] = ("igp", "egp", "incomplete")[attribute["value"]]
            elif code == 2:
                segments = attribute.get("as_paths") or []
                fields["as_path"] = " ".join(str(asn) for segment in segments for asn in segment["asns"])
            elif code in (3, 14):
                fields["next_hop"] = attribute["nexthop"]
            elif code == 4:
                fields["med"] = attribute["metric"]
            elif code == 5:
                fields["local_pref"] = attribute["value"]
            elif code == 8:
                fields["communities"] = [_well_known(f"{c >> 16}:{c & 0xffff}") for c in attribute["communities"]]
            elif code == 16:
                fields["ext_communities"] = [f"rt:{c['value']}" for c in attribute["value"] if c.get("subtype") == 2]
            elif code == 32:
                fields["large_communities"] = [f"{v['ASN']}:{v['LocalData1']}:{v['LocalData2']}"
                                               for v in attribute["value"]]
        return route(prefix, **fields)


class OpenbgpdView(View):
    version_command = "dpkg-query -W -f 'OpenBGPD ${Version}' openbgpd"

    def bgpctl(self, command):
        return self.ask_json(f"bgpctl -s /run/bgpd.rsock -j show {command}", {})

    def sessions(self):
        return [{"neighbor": n["remote_addr"], "state": _state(n["state"])}
                for n in self.bgpctl("neighbor").get("neighbors", [])]

    def routes(self, table="loc", neighbor=None):
        found = []
        for r in self.bgpctl("rib in detail").get("rib", []):
            found.append(route(
                r["prefix"],
                neighbor=r.get("neighbor", {}).get("remote_addr"),
                as_path=r.get("aspath", ""),
                next_hop=r.get("exit_nexthop"),
                origin=r.get("origin", "").lower() or None,
                # It shows 0 where there is no MED.
                med=r.get("metric") or None,
                local_pref=r.get("localpref"),
                communities=[_well_known(c) for c in r.get("communities", [])],
                large_communities=r.get("large_communities", []),
                ext_communities=[c.strip().replace("rt ", "rt:") for c in r.get("extended_communities", [])],
                best=bool(r.get("best")),
            ))
        return [r for r in found if neighbor in (None, r["neighbor"])]

    def best(self):
        # Adj-RIB-In, which `routes` reads, does not know what is best.
        return {r["prefix"]: r.get("neighbor", {}).get("remote_addr")
                for r in self.bgpctl("rib best").get("rib", []) if r.get("best")}

    def validity(self):
        return {r["prefix"]: r.get("ovs", "").replace("-", "_") for r in self.bgpctl("rib in detail").get("rib", [])}

    def why(self, prefix):
        return self.ask(f"bgpctl -s /run/bgpd.rsock show rib detail {prefix}")


class SilentView(View):
    """A daemon that is only listened to (ExaBGP, pmbgpd, a feeder): claims use `output` with its files."""

    def __init__(self, lab, name, version_command):
        super().__init__(lab, name)
        self.version_command = version_command

    def sessions(self):
        return []

    def routes(self, table="loc", neighbor=None):
        return []


def view_of(lab, name, command):
    """The view that fits the daemon in a node's `cmd`."""
    if "ribwatch run" in command:
        return RibwatchView(lab, name)
    if "/usr/lib/frr/bgpd" in command:
        return FrrView(lab, name)
    if "gobgp" in command:
        return GobgpView(lab, name)
    if "/usr/sbin/bgpd" in command:
        return OpenbgpdView(lab, name)
    if "exabgp" in command:
        return SilentView(lab, name, "exabgp --version")
    if "feed.py" in command:
        return SilentView(lab, name, "python3 --version")
    if "stayrtr" in command:
        return SilentView(lab, name, "stayrtr -version")
    if "prometheus-alertmanager" in command:
        return SilentView(lab, name, "prometheus-alertmanager --version")
    if "receiver.py" in command:
        return SilentView(lab, name, "python3 --version")
    if "pmbgpd" in command:
        return SilentView(lab, name, "pmbgpd -V")
    return BirdView(lab, name)


def _state(text):
    word = text.lower().replace(" ", "")
    return SESSION_STATES.get(word, word)


# By name, as ribwatch and most daemons print them (RFC 1997, 3765, 7999, 8326, 9494).
_WELL_KNOWN = {
    "65535:0": "graceful-shutdown", "65535:6": "llgr-stale", "65535:7": "no-llgr", "65535:666": "blackhole",
    "65535:65281": "no-export",
    "65535:65282": "no-advertise", "65535:65283": "no-export-subconfed", "65535:65284": "no-peer",
}


def _well_known(text):
    """One spelling: FRR says noExport, OpenBGPD NO_EXPORT, others the number."""
    if text[:1].isdigit():
        return _WELL_KNOWN.get(text, text)
    return re.sub(r"(?<=[a-z])([A-Z])", r"-\1", text).replace("_", "-").lower()
