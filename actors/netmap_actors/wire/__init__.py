"""The messages: protobuf schemas, their generated code, the codec and the topics."""
