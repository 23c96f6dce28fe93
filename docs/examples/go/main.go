// A subscriber of netmap-supervisor in Go: it prints the netmap, then every change of it, as one JSON object a line.
//
// This file has the sockets and the clock; replica.go has the rules, which are those of docs/subscribers.md. The schema
// in netmappb is generated; in this folder, after `make generate`:
//
//	here=netmap-supervisor.invalid/examples/subscriber proto=netmap_actors/wire/netmap.proto
//	../../../.venv-protoc/bin/python -P -m grpc_tools.protoc -I ../../../actors \
//	  --plugin=protoc-gen-go="$(go tool -n protoc-gen-go)" --go_out=. \
//	  --go_opt=module=$here --go_opt=M$proto=$here/netmappb $proto
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"github.com/go-zeromq/zmq4"
)

const redialPause = 250 * time.Millisecond

// event is one thing a connection has to say; exactly one field is set.
type event struct {
	connected func(request []byte) // sends a request; the subscription is made
	update    [][]byte
	answer    [][]byte
	lost      error
}

func main() {
	log.SetFlags(0)
	runtimeDir := flag.String("runtime-dir", defaultRuntimeDir(), "runtime directory of the daemon")
	flag.Parse()

	lines := json.NewEncoder(shown{os.Stdout})
	replica := &Replica{Print: func(line Line) {
		if err := lines.Encode(line); err != nil {
			log.Fatalf("cannot print: %v", err)
		}
	}}
	events := make(chan event)
	go stayConnected(*runtimeDir, events)

	send := func([]byte) {}
	trouble := ""
	for {
		var due <-chan time.Time // never, if there is no deadline
		if deadline := replica.Deadline(); !deadline.IsZero() {
			// Timers stand still in suspend, so none is long.
			due = time.After(min(deadline.Sub(boottime()), time.Second))
		}
		select {
		case e := <-events:
			now := boottime()
			switch {
			case e.connected != nil:
				send, trouble = e.connected, ""
				replica.Connected(now)
			case len(e.update) == 2:
				replica.Update(string(e.update[0]), e.update[1], now)
			case len(e.answer) == 1:
				replica.Answer(e.answer[0], now)
			case e.lost != nil:
				if e.lost.Error() != trouble { // Once, not at every attempt.
					trouble = e.lost.Error()
					log.Printf("not connected: %s", trouble)
				}
				send = func([]byte) {}
				replica.Disconnected()
			}
		case <-due:
		}
		if request := replica.Tick(boottime()); request != nil {
			send(request)
		}
	}
}

// stayConnected dials again, with new sockets, whenever the publisher or the whole daemon went away.
//
// libzmq does that by itself. With this library nothing comes any more after the first error of Recv. Its
// WithAutomaticReconnect tries for 2.5 s and never again; told to try for ever, it mentions the loss only when that is
// over.
func stayConnected(runtimeDir string, events chan<- event) {
	for {
		events <- event{lost: connection(runtimeDir, events)}
		time.Sleep(redialPause)
	}
}

// connection makes both sockets and reads them until one of them breaks. A half would be of no use.
func connection(runtimeDir string, events chan<- event) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	updates := zmq4.NewSub(ctx, zmq4.WithDialerMaxRetries(0))
	defer updates.Close()
	requests := zmq4.NewDealer(ctx, zmq4.WithDialerMaxRetries(0))
	defer requests.Close()

	// Subscribe first, then ask: what happens in between comes twice, and not never.
	if err := updates.SetOption(zmq4.OptionSubscribe, topicPrefix); err != nil {
		return err
	}
	if err := updates.Dial("ipc://" + filepath.Join(runtimeDir, "pub", "updates.sock")); err != nil {
		return err
	}
	if err := requests.Dial("ipc://" + filepath.Join(runtimeDir, "pub", "requests.sock")); err != nil {
		return err
	}
	events <- event{connected: func(request []byte) {
		// An error here is an error of the reader below as well.
		_ = requests.Send(zmq4.NewMsg(request))
	}}

	ended := make(chan error, 2)
	go func() {
		ended <- read(updates, func(frames [][]byte) { events <- event{update: frames} })
	}()
	go func() {
		ended <- read(requests, func(frames [][]byte) { events <- event{answer: frames} })
	}()
	err := <-ended
	cancel()
	<-ended // So that nothing of this connection comes after the next one is made.
	return err
}

func read(socket zmq4.Socket, take func(frames [][]byte)) error {
	for {
		message, err := socket.Recv()
		if err != nil {
			return err
		}
		take(message.Frames)
	}
}

// boottime reads CLOCK_BOOTTIME, which runs on in suspend and is not set by anybody. Go's own clocks are not so.
func boottime() time.Time {
	const clockBoottime = 7
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		log.Fatalf("cannot read the clock: %v", errno)
	}
	return time.Unix(ts.Unix())
}

func defaultRuntimeDir() string {
	own := "/run"
	if os.Getuid() != 0 {
		own = os.Getenv("XDG_RUNTIME_DIR")
	}
	return cmp.Or(
		os.Getenv("NETMAP_SUPERVISOR_RUNTIME_DIR"),
		os.Getenv("RUNTIME_DIRECTORY"),
		filepath.Join(own, "netmap-supervisor"),
	)
}
