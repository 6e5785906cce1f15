"""The messages of Envoy's external authorization over gRPC, as far as they are used here.

Source: envoy/service/auth/v3/external_auth.proto and attribute_context.proto of Envoy 1.40, with the same names and
numbers. Fields that are not listed are skipped by the parser, as protobuf prescribes. The definitions are built when
this module is imported, so nothing is generated and no compiler of `.proto` files is needed.

    CheckRequest{attributes{source{address}, request{http{method, headers, path, host, scheme}}}}
    CheckResponse{status, ok_response{headers, headers_to_remove, response_headers_to_add} | denied_response{...}}
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["CHECK", "SERVICE", "CheckRequest", "CheckResponse"]

SERVICE: Final = "envoy.service.auth.v3.Authorization"
CHECK: Final = "Check"

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {
    "string": _Field.TYPE_STRING,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "int64": _Field.TYPE_INT64,
    "bytes": _Field.TYPE_BYTES,
}
#: file -> package -> message -> fields: name, number, type ('*' before a repeated one; a dotted name is a message).
_FILES: Final[dict[str, tuple[str, tuple[str, ...], dict[str, tuple[tuple[str, int, str], ...]]]]] = {
    "google/rpc/status.proto": ("google.rpc", (), {"Status": (("code", 1, "int32"), ("message", 2, "string"))}),
    "envoy/type/v3/http_status.proto": ("envoy.type.v3", (), {"HttpStatus": (("code", 1, "int32"),)}),
    "envoy/config/core/v3/base.proto": (
        "envoy.config.core.v3",
        (),
        {
            "SocketAddress": (("protocol", 1, "int32"), ("address", 2, "string"), ("port_value", 3, "uint32")),
            "Address": (("socket_address", 1, ".envoy.config.core.v3.SocketAddress"),),
            "HeaderValue": (("key", 1, "string"), ("value", 2, "string")),
            "HeaderValueOption": (
                ("header", 1, ".envoy.config.core.v3.HeaderValue"),
                # 0 adds one more field of the name, 2 replaces those that are there.
                ("append_action", 3, "int32"),
            ),
        },
    ),
    "envoy/service/auth/v3/external_auth.proto": (
        "envoy.service.auth.v3",
        ("google/rpc/status.proto", "envoy/type/v3/http_status.proto", "envoy/config/core/v3/base.proto"),
        {
            "Peer": (("address", 1, ".envoy.config.core.v3.Address"),),
            "HeadersEntry": (("key", 1, "string"), ("value", 2, "string")),
            "HttpRequest": (
                ("id", 1, "string"),
                ("method", 2, "string"),
                ("headers", 3, "*.envoy.service.auth.v3.HeadersEntry"),
                ("path", 4, "string"),
                ("host", 5, "string"),
                ("scheme", 6, "string"),
            ),
            "Request": (("http", 2, ".envoy.service.auth.v3.HttpRequest"),),
            "AttributeContext": (
                ("source", 1, ".envoy.service.auth.v3.Peer"),
                ("destination", 2, ".envoy.service.auth.v3.Peer"),
                ("request", 4, ".envoy.service.auth.v3.Request"),
            ),
            "CheckRequest": (("attributes", 1, ".envoy.service.auth.v3.AttributeContext"),),
            "DeniedHttpResponse": (
                ("status", 1, ".envoy.type.v3.HttpStatus"),
                ("headers", 2, "*.envoy.config.core.v3.HeaderValueOption"),
                ("body", 3, "string"),
            ),
            "OkHttpResponse": (
                ("headers", 2, "*.envoy.config.core.v3.HeaderValueOption"),
                ("headers_to_remove", 5, "*string"),
                ("response_headers_to_add", 6, "*.envoy.config.core.v3.HeaderValueOption"),
            ),
            "CheckResponse": (
                ("status", 1, ".google.rpc.Status"),
                ("denied_response", 2, ".envoy.service.auth.v3.DeniedHttpResponse"),
                ("ok_response", 3, ".envoy.service.auth.v3.OkHttpResponse"),
            ),
        },
    ),
}


def _add_files() -> None:
    pool = descriptor_pool.Default()
    for name, (package, imports, messages) in _FILES.items():
        file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=imports)
        for message, fields in messages.items():
            described = file.message_type.add(name=message)
            for field, number, kind in fields:
                label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
                kind = kind.removeprefix("*")
                if kind.startswith("."):
                    described.field.add(
                        name=field, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=kind
                    )
                else:
                    described.field.add(name=field, number=number, label=label, type=_TYPES[kind])
        if package == "envoy.service.auth.v3":
            method = file.service.add(name="Authorization").method.add(name=CHECK)
            method.input_type, method.output_type = f".{package}.CheckRequest", f".{package}.CheckResponse"
        pool.AddSerializedFile(file.SerializeToString())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


_add_files()
CheckRequest: Any = _message("envoy.service.auth.v3.CheckRequest")
CheckResponse: Any = _message("envoy.service.auth.v3.CheckResponse")
