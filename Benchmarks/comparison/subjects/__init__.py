"""What is compared, in the order in which it is measured and reported."""

from ..subject import Subject
from . import (
    batch, check_grpc, in_process, introspect_http, introspect_pipelined, introspect_tls, introspect_unix, large_store, many_keys,
    open_loop, redis_get, sidecar, token_endpoint, unknown_flood, verify_http)

SUBJECTS: list[Subject] = [
    introspect_http.SUBJECT, verify_http.SUBJECT, check_grpc.SUBJECT, introspect_tls.SUBJECT, introspect_unix.SUBJECT,
    introspect_pipelined.SUBJECT, redis_get.SUBJECT, unknown_flood.SUBJECT, many_keys.SUBJECT, batch.SUBJECT,
    sidecar.SUBJECT, token_endpoint.SUBJECT, open_loop.SUBJECT, in_process.SUBJECT, large_store.SUBJECT,
]
