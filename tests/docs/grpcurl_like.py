"""The part of grpcurl that docs/api.md shows, for machines without it: `-plaintext [-d JSON] ADDRESS list|SERVICE/METHOD`.

Like the original it knows nothing but what server reflection tells, and prints messages as JSON, indented by two.
"""

import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main():
    words = [word for word in sys.argv[1:] if word != "-plaintext"]
    request = "{}"
    if words[0] == "-d":
        request, words = words[1], words[2:]
    address, what = words
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        if what == "list":
            print("\n".join(sorted(database.get_services())))
            return
        service, method = what.split("/")
        found = descriptor_pool.DescriptorPool(database).FindServiceByName(service).FindMethodByName(method)
        ask, answer = (message_factory.GetMessageClass(kind) for kind in (found.input_type, found.output_type))
        call = channel.unary_unary(f"/{what}", request_serializer=ask.SerializeToString, response_deserializer=answer.FromString)
        print(json_format.MessageToJson(call(json_format.Parse(request, ask()), timeout=30), indent=2))


if __name__ == "__main__":
    main()
