package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "netmap-supervisor.invalid/examples/subscriber/netmappb"
)

// The two clocks of these tests show different times; only their differences agree.
var began = time.Unix(1000, 0)

const publisherClock = 77.0

func at(s float64) time.Time { return began.Add(seconds(s)) }

type bench struct {
	*testing.T
	replica *Replica
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, replica: &Replica{Print: func(Line) {}}}
	b.replica.Connected(at(0))
	return b
}

// ask returns the token of the request that is due.
func (b *bench) ask(s float64) []byte {
	b.Helper()
	data := b.replica.Tick(at(s))
	request := &pb.Request{}
	if data == nil || proto.Unmarshal(data, request) != nil {
		b.Fatalf("nothing is asked at %g s", s)
	}
	return request.Token
}

// answer is a snapshot without peers, said at one time and read at another.
func (b *bench) answer(token []byte, epoch, seq uint64, said, read float64) {
	b.read(&pb.Reply{
		Schema: 1, Token: token, Epoch: epoch, Seq: seq, Last: true, SaidAt: publisherClock + said,
		State: pb.NetmapState_NETMAP_STATE_FRESH, Body: &pb.Reply_Snapshot{Snapshot: &pb.SnapshotChunk{}},
	}, read)
}

func (b *bench) read(reply *pb.Reply, read float64) {
	data, _ := proto.Marshal(reply)
	b.replica.Answer(data, at(read))
}

func (b *bench) beat(epoch, seq uint64, said, read float64) {
	data, _ := proto.Marshal(&pb.BusMessage{
		Schema: 1, Epoch: epoch, Seq: seq, SaidAt: publisherClock + said, State: pb.NetmapState_NETMAP_STATE_FRESH,
		Body: &pb.BusMessage_Heartbeat{Heartbeat: &pb.Heartbeat{LastCommit: &pb.Commit{Seq: seq}}},
	})
	b.replica.Update("netmap/1/heartbeat", data, at(read))
}

func (b *bench) shows(state string, s float64) {
	b.Helper()
	b.replica.Tick(at(s))
	if b.replica.state != state {
		b.Fatalf("at %g s it is %q and not %q", s, b.replica.state, state)
	}
}

func TestWhatIsReadLateIsAsOldAsWhenItWasSaid(t *testing.T) {
	b := newBench(t)
	b.answer(b.ask(0.2), 5, 9, 0.2, 0.2)
	b.shows("fresh", 0.3)
	b.beat(5, 9, 2, 4.5)
	b.shows("fresh", 7.9)
	b.shows("stale", 8.1)
	b.beat(5, 9, 10, 10)
	b.shows("fresh", 15.9)
	b.shows("stale", 16.1)
}

func TestARareReaderGetsTheNetmapAndKnowsThatItIsFresh(t *testing.T) {
	for _, period := range []float64{6, 7, 30} {
		b := newBench(t)
		token := b.ask(0.2)
		b.beat(5, 9, period-1, period+0.2) // What waits is read in any order.
		b.answer(token, 5, 9, 0.3, period+0.2)
		b.shows("fresh", period+0.3)
		b.shows("stale", period+5.1)
	}
}

func TestAnAnswerThatWaitedBringsTheNetmapAndNoTrust(t *testing.T) {
	b := newBench(t)
	b.answer(b.ask(0.2), 5, 9, 0.3, 60)
	if b.replica.epoch != 5 {
		t.Fatal("it was thrown away")
	}
	b.shows("stale", 60)
	b.ask(60 + 1)
}

func TestAPublisherWithoutANetmapEndsTheTrustInTheOneBefore(t *testing.T) {
	b := newBench(t)
	b.answer(b.ask(0.2), 5, 9, 0.2, 0.2)
	b.beat(5, 10, 1, 1) // Something was missed.
	b.read(&pb.Reply{
		Schema: 1, Token: b.ask(1.3), Epoch: 6, Last: true, SaidAt: 3, Body: &pb.Reply_NotYet{NotYet: &pb.NotYet{}},
	}, 1.4)
	b.shows("stale", 1.4)
	b.beat(5, 9, 1.1, 1.5)
	b.shows("stale", 1.5)
}

func TestAClockThatStoodStillMakesNoOldWordNew(t *testing.T) {
	b := newBench(t)
	b.answer(b.ask(0.2), 5, 9, 0.2, 0.2)
	b.beat(5, 9, 90, 2)
	b.ask(2.3)
	b.shows("fresh", 6.1)
	b.shows("stale", 6.3)
}
