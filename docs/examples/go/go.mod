module netmap-supervisor.invalid/examples/subscriber

go 1.24

tool google.golang.org/protobuf/cmd/protoc-gen-go

require (
	github.com/go-zeromq/zmq4 v0.17.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/go-zeromq/goczmq/v4 v4.2.2 // indirect
	golang.org/x/sync v0.7.0 // indirect
	golang.org/x/text v0.15.0 // indirect
)
