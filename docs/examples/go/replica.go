package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"maps"
	mathrand "math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "netmap-supervisor.invalid/examples/subscriber/netmappb"
)

const (
	topicPrefix  = "netmap/1/"
	schema       = 1
	silenceLimit = 6 * time.Second        // three heartbeats
	absenceLimit = 3 * time.Second        // what was said before may not be the last there was
	settle       = 200 * time.Millisecond // before that is asked: what waits is taken first
	clockSlip    = 500 * time.Millisecond // by which a word may seem to be of the future
	answerLimit  = 2 * time.Second        // without a part of the answer
	askJitter    = 100 * time.Millisecond // spreads the requests of all who saw the same gap
	askPace      = 250 * time.Millisecond // between two requests, at least
	keepLimit    = 20_000                 // updates kept while an answer is awaited
)

// Peer is what this example shows of a peer. The message has much more.
type Peer struct {
	StableID string `json:"stable_id"`
	Name     string `json:"name"`
	Online   *bool  `json:"online"` // null: unknown
}

// Line is one line of output; Epoch and Seq say which commit it belongs to.
type Line struct {
	Type     string `json:"type"`
	Epoch    uint64 `json:"epoch"`
	Seq      uint64 `json:"seq"`
	State    string `json:"state,omitempty"`
	Peers    []Peer `json:"peers,omitzero"`
	Peer     *Peer  `json:"peer,omitempty"`
	StableID string `json:"stable_id,omitempty"`
}

// update is a message together with the kind its topic names: a newer daemon may have kinds this schema does not know,
// and they have numbers like the others.
type update struct {
	kind string
	*pb.BusMessage
}

// Replica is the copy of the netmap, and the rules of docs/subscribers.md. It waits for nothing, opens nothing and
// reads no clock: messages and the time go in, lines and requests come out. What it shows is always the netmap of one
// commit.
type Replica struct {
	Print func(Line)

	// What is shown: the netmap of the commit `seq`. An epoch of 0 means that there has been none yet.
	peers      map[string]Peer
	state      string
	epoch, seq uint64
	topicSeq   map[string]uint64

	// What has come since that commit. Nothing of it is true before the next one.
	collected    []update
	lastSeq      uint64
	lastTopicSeq map[string]uint64

	inStep bool     // every message up to lastSeq is here
	kept   []update // came while out of step; the answer may be older than they are

	// How old words are. What is shown was true at `proved`, or later; the publisher's clock showed 0 at `origin`, or
	// later (zero: not known).
	proved, origin time.Time

	askAt   time.Time // zero: nothing to ask and no answer awaited
	askedAt time.Time
	token   []byte
	parts   []*pb.Reply
}

// Connected: the subscription is made, so whatever the answer does not have will come as an update.
func (r *Replica) Connected(now time.Time) {
	r.ask(now)
}

// Disconnected: messages are being missed. The netmap stays, and turns stale by silence if it takes long.
func (r *Replica) Disconnected() {
	r.fallBehind()
	r.askAt, r.token, r.kept = time.Time{}, nil, nil
}

// Update takes the two frames of the updates socket.
func (r *Replica) Update(topic string, data []byte, now time.Time) {
	if u, ok := decode(topic, data); ok {
		r.take(u, now)
	}
}

func decode(topic string, data []byte) (update, bool) {
	kind, ours := strings.CutPrefix(topic, topicPrefix)
	m := &pb.BusMessage{}
	ok := ours && proto.Unmarshal(data, m) == nil && m.Schema == schema && m.Epoch != 0
	return update{kind, m}, ok
}

func (r *Replica) take(u update, now time.Time) {
	beat := u.GetHeartbeat()
	if u.Epoch != r.epoch {
		r.setState("stale") // Another publisher: the old netmap stays, as that, until the new one's is here.
	}
	switch {
	case r.inStep && u.Epoch != r.epoch:
		r.gap(u, now)
	case !r.inStep:
		r.keep(u)
		// There may have been no netmap when we asked. With a commit there is one.
		if u.GetCommit() != nil || beat.GetLastCommit().GetSeq() > 0 {
			r.ask(now)
		}
	case beat != nil: // It has no number of its own, but tells a lost tail.
		if beat.GetLastCommit().GetSeq() > r.seq {
			r.gap(u, now)
		} else {
			r.setState(r.believe(u.State, u.SaidAt, time.Time{}, now))
		}
	case u.Seq <= r.lastSeq: // The answer had it already.
	// Whoever subscribes to some topics only has no use for seq, and looks at topic_seq alone.
	case u.Seq != r.lastSeq+1 || u.TopicSeq != r.lastTopicSeq[u.kind]+1:
		r.gap(u, now)
	default:
		r.lastSeq, r.lastTopicSeq[u.kind] = u.Seq, u.TopicSeq
		if u.GetCommit() != nil {
			r.commit(u, now)
		} else {
			r.collected = append(r.collected, u)
		}
	}
}

// commit applies the transaction: all of it now, and nothing of it before.
func (r *Replica) commit(end update, now time.Time) {
	r.seq, r.topicSeq = end.Seq, maps.Clone(r.lastTopicSeq)
	for _, u := range r.collected {
		// The other kinds (dns_changed, self_changed …) would have their case here.
		switch body := u.Body.(type) {
		case *pb.BusMessage_PeerUpserted:
			peer := peerOf(body.PeerUpserted)
			// Something else of the peer may have changed, which is not shown here.
			if before, known := r.peers[peer.StableID]; !known || !reflect.DeepEqual(before, peer) {
				r.peers[peer.StableID] = peer
				r.print(Line{Type: "peer_upserted", Peer: &peer})
			}
		case *pb.BusMessage_PeerRemoved:
			delete(r.peers, body.PeerRemoved.StableId)
			r.print(Line{Type: "peer_removed", StableID: body.PeerRemoved.StableId})
		}
	}
	r.collected = nil
	r.setState(r.believe(end.State, end.SaidAt, time.Time{}, now))
}

// believe takes the publisher's word about what is shown, said at `since` or later, and returns the state to show.
func (r *Replica) believe(state pb.NetmapState, saidAt float64, since, now time.Time) string {
	if said := r.said(saidAt, now); said.After(since) {
		since = said
	}
	if since.After(r.proved) {
		r.proved = since
	}
	switch doubtful := now.Sub(since) >= absenceLimit; {
	case doubtful && r.askAt.IsZero():
		r.askAt = now.Add(settle)
	case !doubtful && r.token == nil:
		r.askAt = time.Time{}
	}
	if state == pb.NetmapState_NETMAP_STATE_FRESH && now.Sub(r.proved) >= silenceLimit {
		return "stale"
	}
	return stateName(state)
}

// measure learns how the two clocks stand: what the answer says was not said before it was asked for.
func (r *Replica) measure(head *pb.Reply) {
	if head.Epoch != r.epoch {
		r.origin = time.Time{}
	}
	if origin := r.askedAt.Add(-seconds(head.SaidAt)); head.SaidAt != 0 && origin.After(r.origin) {
		r.origin = origin
	}
}

// said is when the publisher can have said this at the earliest; zero if that cannot be told.
func (r *Replica) said(at float64, now time.Time) time.Time {
	if at == 0 || r.origin.IsZero() {
		return time.Time{}
	}
	said := r.origin.Add(seconds(at))
	switch {
	case said.After(now.Add(clockSlip)): // One of the clocks stood still.
		r.origin = time.Time{}
		return time.Time{}
	case said.After(now):
		return now
	}
	return said
}

// Answer takes one part of an answer from the requests socket.
func (r *Replica) Answer(data []byte, now time.Time) {
	part := &pb.Reply{}
	if proto.Unmarshal(data, part) != nil || part.Schema != schema || r.token == nil || !bytes.Equal(part.Token, r.token) {
		return // Of an earlier request, perhaps.
	}
	r.parts = append(r.parts, part)
	head := r.parts[0]
	if int(part.Part) != len(r.parts)-1 || part.Epoch != head.Epoch || part.Seq != head.Seq {
		r.askAgain(now)
		return
	}
	r.askAt = now.Add(answerLimit)
	if !part.Last {
		return
	}
	parts, kept := r.parts, r.kept
	r.parts, r.kept, r.token, r.askAt = nil, nil, nil, time.Time{}
	switch part.Body.(type) {
	case *pb.Reply_Snapshot:
		r.measure(head)
		if !r.replace(parts, now) {
			r.askAgain(now)
			return
		}
	case *pb.Reply_CatchUp:
		r.measure(head)
		r.inStep = part.Epoch == r.epoch
		for _, part := range parts {
			for _, missed := range part.GetCatchUp().GetMessages() {
				if u, ok := decode(missed.Topic, missed.Message); ok {
					r.take(u, now)
				}
			}
		}
		if !r.inStep || r.seq != part.Seq {
			r.fallBehind()
			r.ask(now)
		} else {
			r.setState(r.believe(part.State, part.SaidAt, r.askedAt, now))
		}
	default: // not_yet: whose netmap we hold is gone. `take` asks when there is a commit; it may have been kept.
		r.fallBehind()
		r.setState("stale")
	}
	for _, u := range kept {
		if u.Epoch == part.Epoch {
			r.take(u, now)
		}
	}
}

// replace makes the snapshot the netmap; it says false if the snapshot is not whole.
func (r *Replica) replace(parts []*pb.Reply, now time.Time) bool {
	peers, topicSeq := map[string]Peer{}, map[string]uint64{}
	for _, part := range parts {
		for _, p := range part.GetSnapshot().GetPeers() {
			peers[p.StableId] = peerOf(p)
		}
		maps.Copy(topicSeq, part.GetSnapshot().GetTopicSeq())
	}
	head := parts[0]
	if len(peers) != int(head.GetSnapshot().GetPeerCount()) {
		return false
	}
	r.peers, r.topicSeq, r.epoch, r.seq = peers, topicSeq, head.Epoch, head.Seq
	r.fallBehind() // What was collected is of an older netmap.
	r.inStep = true
	last := parts[len(parts)-1] // The newest word of it.
	r.state = r.believe(last.State, last.SaidAt, r.askedAt, now)
	shown := slices.AppendSeq([]Peer{}, maps.Values(peers))
	slices.SortFunc(shown, func(a, b Peer) int { return cmp.Compare(a.StableID, b.StableID) })
	r.print(Line{Type: "snapshot", State: r.state, Peers: shown})
	return true
}

// gap: something was missed before this update, which may well be part of what comes after the answer.
func (r *Replica) gap(u update, now time.Time) {
	r.fallBehind()
	r.keep(u)
	r.ask(now)
}

// fallBehind goes back to the last commit.
func (r *Replica) fallBehind() {
	r.inStep, r.collected = false, nil
	r.lastSeq, r.lastTopicSeq = r.seq, maps.Clone(r.topicSeq)
}

func (r *Replica) keep(u update) {
	if len(r.kept) == keepLimit {
		r.kept = nil // The numbers will show that they are missing.
	}
	r.kept = append(r.kept, u)
}

// ask makes a request due, soon but not at once, unless one is under way.
func (r *Replica) ask(now time.Time) {
	if r.askAt.IsZero() {
		r.askAt = now.Add(mathrand.N(askJitter))
		if paced := r.askedAt.Add(askPace); r.askAt.Before(paced) {
			r.askAt = paced
		}
	}
}

func (r *Replica) askAgain(now time.Time) {
	r.token, r.askAt = nil, time.Time{}
	r.ask(now)
}

// Deadline is when to call Tick.
func (r *Replica) Deadline() time.Time {
	silence := r.proved.Add(silenceLimit)
	if r.state == "fresh" && (r.askAt.IsZero() || silence.Before(r.askAt)) {
		return silence
	}
	return r.askAt
}

// Tick lets time do its work. It returns the request that is due, or nil.
func (r *Replica) Tick(now time.Time) []byte {
	if r.state == "fresh" && now.Sub(r.proved) >= silenceLimit {
		r.setState("stale")
	}
	if r.askAt.IsZero() || now.Before(r.askAt) {
		return nil
	}
	r.token, r.parts = make([]byte, 16), nil
	rand.Read(r.token)
	r.askedAt, r.askAt = now, now.Add(answerLimit)
	request, err := proto.Marshal(&pb.Request{Schema: schema, Token: r.token, Epoch: r.epoch, Seq: r.seq})
	if err != nil {
		panic(err) // Numbers and bytes always have an encoding.
	}
	return request
}

func (r *Replica) setState(state string) {
	if r.epoch != 0 && state != r.state {
		r.state = state
		r.print(Line{Type: "state_changed", State: state})
	}
}

func (r *Replica) print(line Line) {
	line.Epoch, line.Seq = r.epoch, r.seq
	r.Print(line)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second))
}

func stateName(state pb.NetmapState) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "NETMAP_STATE_"))
}

func peerOf(p *pb.Peer) Peer {
	return Peer{StableID: p.StableId, Name: p.Name, Online: p.Online}
}
