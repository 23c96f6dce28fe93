"""The messages: protobuf schemas, their generated code, the codec and the topics."""

from netmap_actors.wire.unused_protobuf import leave_out

leave_out()
