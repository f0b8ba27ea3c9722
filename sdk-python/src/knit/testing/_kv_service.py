"""The key-value store, as the fake Application Master of `knit.testing` serves it."""

from __future__ import annotations

from datetime import timedelta

import attrs
import grpc
from google.protobuf import duration_pb2

from knit._values.access import Role
from knit.testing._calls import answer, change
from knit.testing._pages import page_of
from knit.testing._refusals import Refusal, invalid
from knit.testing._roles import caller_of
from knit.testing._state import FakeState
from knit.testing._store import check_key, without_value
from knit.v1 import key_value_pb2, key_value_service_pb2_grpc
from knit.v1 import key_value_service_pb2 as pb

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends before; a larger value comes alone."""
PAGE_KEYS = 1000
"""So many keys come at once, at most."""


@attrs.frozen
class KeyValueService(key_value_service_pb2_grpc.KeyValueServiceServicer):
    _state: FakeState

    def Get(  # noqa: N802
        self, request: pb.GetRequest, context: grpc.ServicerContext
    ) -> pb.GetResponse:
        state = self._state

        def do() -> pb.GetResponse:
            check_key(request.key)
            found = state.store.find(request.key)
            if found is None:
                raise Refusal("NOT_FOUND", "NO_SUCH_KEY", "The store has no such key.")
            if self._is_viewer(context):
                found = without_value(found)
            return pb.GetResponse(
                key_value=found, sequence=state.feed.sequence, history_id=state.history_id
            )

        return answer(state, context, "Get", do)

    def Range(  # noqa: N802
        self, request: pb.RangeRequest, context: grpc.ServicerContext
    ) -> pb.RangeResponse:
        state = self._state

        def do() -> pb.RangeResponse:
            found = state.store.within(request.range)
            response = pb.RangeResponse(
                count=len(found), sequence=state.feed.sequence, history_id=state.history_id
            )
            if request.count_only:
                return response
            if request.is_descending:
                found.reverse()
            if request.keys_only or self._is_viewer(context):
                found = [without_value(each) for each in found]
            size = self._page_size(found, request)
            page, response.next_page_token = page_of(
                state, "Range", found, request.page_token, size, PAGE_KEYS
            )
            response.key_values.extend(page)
            return response

        return answer(state, context, "Range", do)

    def _page_size(self, found: list[key_value_pb2.KeyValue], request: pb.RangeRequest) -> int:
        """How many of what follows the token fit into a page."""
        if request.page_size < 0:
            raise invalid("page_size is negative.")
        most = min(request.page_size or PAGE_KEYS, PAGE_KEYS)
        rest, _ = page_of(self._state, "Range", found, request.page_token, most, PAGE_KEYS)
        size = 0
        for number, each in enumerate(rest):
            size += each.ByteSize()
            if number and size > PAGE_BYTES:
                return number
        return most

    def Put(  # noqa: N802
        self, request: pb.PutRequest, context: grpc.ServicerContext
    ) -> pb.PutResponse:
        state = self._state

        def do() -> pb.PutResponse:
            step = pb.Operation(put=request.put)
            done = self._commit(pb.CommitRequest(on_success=[step]), context)
            previous = done.results[0].key_values
            return pb.PutResponse(
                revision=done.revision,
                previous=previous[0] if previous else None,
                history_id=state.history_id,
            )

        return change(state, context, "Put", request, do)

    def Delete(  # noqa: N802
        self, request: pb.DeleteRequest, context: grpc.ServicerContext
    ) -> pb.DeleteResponse:
        state = self._state

        def do() -> pb.DeleteResponse:
            step = pb.Operation(delete=request.delete)
            done = self._commit(pb.CommitRequest(on_success=[step]), context)
            result = done.results[0]
            return pb.DeleteResponse(
                revision=done.revision,
                count=result.count,
                previous=result.key_values,
                history_id=state.history_id,
            )

        return change(state, context, "Delete", request, do)

    def Commit(  # noqa: N802
        self, request: pb.CommitRequest, context: grpc.ServicerContext
    ) -> pb.CommitResponse:
        return change(
            self._state, context, "Commit", request, lambda: self._commit(request, context)
        )

    def _is_viewer(self, context: grpc.ServicerContext) -> bool:
        return caller_of(self._state, context).role is Role.VIEWER

    def _commit(
        self, request: pb.CommitRequest, context: grpc.ServicerContext
    ) -> pb.CommitResponse:
        """What is written gets the number of the turn that is under way."""
        state = self._state
        caller = caller_of(state, context)
        writer = caller.container._to_proto() if caller.is_confined and caller.container else None
        done = state.store.commit(request, state.feed.sequence + 1, writer)
        done.revision = state.feed.sequence + bool(state.store.changes)
        done.history_id = state.history_id
        return done

    def GrantLease(  # noqa: N802
        self, request: pb.GrantLeaseRequest, context: grpc.ServicerContext
    ) -> pb.GrantLeaseResponse:
        state = self._state

        def do() -> pb.GrantLeaseResponse:
            lease_id = state.store.grant_lease(_to_timedelta(request.time_to_live))
            return pb.GrantLeaseResponse(lease_id=lease_id, history_id=state.history_id)

        return change(state, context, "GrantLease", request, do)

    def KeepLease(  # noqa: N802
        self, request: pb.KeepLeaseRequest, context: grpc.ServicerContext
    ) -> pb.KeepLeaseResponse:
        state = self._state

        def do() -> pb.KeepLeaseResponse:
            left = duration_pb2.Duration()
            left.FromTimedelta(state.store.keep_lease(request.lease_id))
            return pb.KeepLeaseResponse(time_to_live=left)

        return answer(state, context, "KeepLease", do)

    def RevokeLease(  # noqa: N802
        self, request: pb.RevokeLeaseRequest, context: grpc.ServicerContext
    ) -> pb.RevokeLeaseResponse:
        state = self._state

        def do() -> pb.RevokeLeaseResponse:
            return pb.RevokeLeaseResponse(count=state.store.revoke_lease(request.lease_id))

        return answer(state, context, "RevokeLease", do)


def _to_timedelta(duration: duration_pb2.Duration) -> timedelta:
    found: timedelta = duration.ToTimedelta()
    return found
