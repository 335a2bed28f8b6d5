#!/usr/bin/env python3
"""Speaks ribwatch.v1 with a client that is not ours: grpcio and nothing but server reflection.

    pip install grpcio grpcio-reflection grpcio-health-checking
    grpc_smoke.py 127.0.0.1:50051 [--expect-routes N]

Checks health, both versions of reflection, every service, a watch with its end mark and a change, gzip, and that
errors carry the right status code. Prints one line per claim; the exit code is 0 when all hold.
"""

import argparse
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

PACKAGE = "ribwatch.v1"
OUR_PREFIX = "203.0.113.0/25"
claims = 0


def claim(text, holds, seen=""):
    """Prints a claim; ends the program when it does not hold."""
    global claims
    claims += 1
    print(f"{'ok  ' if holds else 'FAIL'} {text}" + (f": {seen}" if seen != "" and not holds else ""))
    if not holds:
        sys.exit(1)


class Client:
    """Calls any method by its name, with requests as dictionaries."""

    def __init__(self, channel):
        self.channel = channel
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def call(self, service, method, request=None, **options):
        descriptor = self.pool.FindServiceByName(f"{PACKAGE}.{service}").FindMethodByName(method)
        ask = message_factory.GetMessageClass(descriptor.input_type)
        answer = message_factory.GetMessageClass(descriptor.output_type)
        kind = self.channel.unary_stream if descriptor.server_streaming else self.channel.unary_unary
        path = f"/{PACKAGE}.{service}/{method}"
        stub = kind(path, request_serializer=ask.SerializeToString, response_deserializer=answer.FromString)
        return stub(json_format.ParseDict(request or {}, ask()), timeout=30, **options)

    def refused(self, code, service, method, request):
        """The details with which the call was refused; None when it was not refused with `code`."""
        try:
            self.call(service, method, request)
        except grpc.RpcError as error:
            return error.details() if error.code() == code else None
        return None


def check_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", f"{PACKAGE}.RouteService"]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        claim(f"health of `{service}` is SERVING", answer.status == health_pb2.HealthCheckResponse.SERVING, answer)


def check_reflection(client):
    services = set(client.database.get_services())
    wanted = {f"{PACKAGE}.{name}Service" for name in ("Neighbor", "Route", "LocalRoute", "Daemon")}
    claim("reflection v1alpha names every service", wanted <= services, services)
    stream = client.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    # list_services = "" : field 7, length 0.
    answer = next(stream(iter([b"\x3a\x00"]), timeout=10))
    claim("reflection v1 names every service", all(name.encode() in answer for name in wanted))


def check_reads(client, expect_routes):
    info = client.call("DaemonService", "GetInfo")
    claim("the daemon tells its identity", info.asn > 0 and info.router_id != "" and info.ready, info)
    neighbors = client.call("NeighborService", "ListNeighbors").neighbors
    for neighbor in neighbors:
        one = client.call("NeighborService", "GetNeighbor", {"neighbor": neighbor.address}).neighbor
        claim(f"neighbour {neighbor.address} is found by its address", one.address == neighbor.address)
    streamed = [r for batch in client.call("RouteService", "StreamRoutes") for r in batch.routes]
    listed, token = [], ""
    while True:
        page = client.call("RouteService", "ListRoutes", {"page_size": 100, "page_token": token})
        listed.extend(page.routes)
        token = page.next_page_token
        if not token:
            break
    key = lambda route: (route.family, route.prefix, route.neighbor, route.path_id)
    claim("pages and stream give the same routes", list(map(key, listed)) == list(map(key, streamed)))
    if expect_routes is not None:
        claim(f"there are {expect_routes} routes", len(streamed) == expect_routes, len(streamed))
    claim("every route has typed attributes", all(route.HasField("attributes") for route in streamed))
    packed = client.call("RouteService", "ListRoutes", {"page_size": 100}, compression=grpc.Compression.Gzip)
    claim("a gzip client is understood", list(map(key, packed.routes)) == list(map(key, listed[:100])))
    best = sum(counts.best for counts in client.call("RouteService", "GetSummary").tables)
    claim("the summary counts what the stream gives", best == len(streamed), (best, len(streamed)))


def check_writes_and_watch(client):
    watch = client.call("RouteService", "WatchRoutes", {"filter": {"prefix": OUR_PREFIX}})
    events = iter(watch)
    claim("a watch begins with a snapshot", next(events).WhichOneof("event") == "begin")
    claim("and marks its end", next(events).WhichOneof("event") == "end")
    client.call("LocalRouteService", "Originate", {"prefix": OUR_PREFIX, "communities": ["64500:1"], "med": 7})
    change = next(events).changes.changes[0]
    route = change.route
    claim("a route of our own is seen by the watch", (route.prefix, change.kind) == (OUR_PREFIX, 1), change)
    claim("with its attributes", (route.attributes.med, list(route.attributes.communities)) == (7, ["64500:1"]))
    found = client.call("RouteService", "LookupRoutes", {"prefix": OUR_PREFIX.replace(".0/25", ".9")}).routes
    claim("and found by an address inside it", [route.prefix for route in found] == [OUR_PREFIX], found)
    why = client.call("RouteService", "ExplainRoute", {"prefix": OUR_PREFIX})
    claim("and explained", why.candidates[0].route.best and why.paths == 1, why)
    client.call("LocalRouteService", "Withdraw", {"prefix": OUR_PREFIX})
    claim("and taken back", next(events).changes.changes[0].kind == 3)
    watch.cancel()


def check_refusals(client):
    codes = grpc.StatusCode
    for code, service, method, request in [
        (codes.NOT_FOUND, "NeighborService", "GetNeighbor", {"neighbor": "203.0.113.99"}),
        (codes.NOT_FOUND, "RouteService", "LookupRoutes", {"prefix": OUR_PREFIX}),
        (codes.NOT_FOUND, "LocalRouteService", "Withdraw", {"prefix": OUR_PREFIX}),
        (codes.INVALID_ARGUMENT, "RouteService", "ListRoutes", {"filter": {"as_path": "("}}),
        (codes.INVALID_ARGUMENT, "RouteService", "ListRoutes", {"page_token": "nonsense"}),
        (codes.INVALID_ARGUMENT, "RouteService", "LookupRoutes", {"prefix": "192.0.2.1/24"}),
        (codes.INVALID_ARGUMENT, "LocalRouteService", "Originate", {"prefix": "nonsense"}),
        (codes.INVALID_ARGUMENT, "NeighborService", "AddNeighbor", {"toml": "nonsense"}),
    ]:
        text = client.refused(code, service, method, request)
        claim(f"{method} {request} is {code.name} with a sentence", text is not None and len(text) > 10, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("api", nargs="?", default="127.0.0.1:50051")
    parser.add_argument("--expect-routes", type=int)
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.api) as channel:
        client = Client(channel)
        check_health(channel)
        check_reflection(client)
        check_reads(client, arguments.expect_routes)
        check_writes_and_watch(client)
        check_refusals(client)
    print(f"{claims} claims hold")


if __name__ == "__main__":
    main()
