// A control client that says what it believes: joins a control server with tailscale.com/tsnet, and stays.
//
// It takes what `netmap-supervisor check-client` gives to clients, from the environment: NETMAP_CHECK_URL,
// NETMAP_CHECK_DIR (its state and peers.json), NETMAP_CHECK_HOSTNAME, and NETMAP_CHECK_AUTH_KEY_FILE, without which a
// person has to let it in. A JSON object a line on standard output:
//
//	{"event": "login", "url": "http://…/auth/…"}
//	{"event": "self", "state": "Running", "name": "laptop.tail0000.ts.net.", "addresses": [...], …}
//	{"event": "peers", "peers": [{"name": …, "addresses": [...], "online": true, …}, …]}
//
// each whenever it has changed; DIR/peers.json holds the last list of peers, and is replaced as a whole. The log is on
// standard error. It ends with 0 after SIGTERM, with 1 when tsnet does not start.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/envknob"
	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
)

const watchPause = 100 * time.Millisecond

type node struct {
	ID        int64    `json:"id"`
	StableID  string   `json:"stable_id"`
	Name      string   `json:"name"`
	User      string   `json:"user"`
	Addresses []string `json:"addresses"`
	Online    bool     `json:"online"`
	Tags      []string `json:"tags"`
	Routes    []string `json:"routes"`
	Key       string   `json:"key"`
	Expired   bool     `json:"expired"`
}

type login struct {
	Event string `json:"event"`
	URL   string `json:"url"`
}

type self struct {
	Event string `json:"event"`
	State string `json:"state"`
	node
}

type peers struct {
	Event string `json:"event"`
	Peers []node `json:"peers"`
}

func nodeOf(status *ipnstate.PeerStatus, users map[tailcfg.UserID]tailcfg.UserProfile) node {
	found := node{
		ID:        int64(status.NodeID),
		StableID:  string(status.ID),
		Name:      status.DNSName,
		User:      users[status.UserID].LoginName,
		Addresses: []string{},
		Online:    status.Online,
		Tags:      []string{},
		Routes:    []string{},
		Key:       status.PublicKey.String(),
		Expired:   status.Expired,
	}
	for _, address := range status.TailscaleIPs {
		found.Addresses = append(found.Addresses, address.String())
	}
	if status.Tags != nil {
		found.Tags = append(found.Tags, status.Tags.AsSlice()...)
	}
	if status.AllowedIPs != nil {
		for _, prefix := range status.AllowedIPs.All() {
			if !prefix.IsSingleIP() || !slices.Contains(status.TailscaleIPs, prefix.Addr()) {
				found.Routes = append(found.Routes, prefix.String())
			}
		}
	}
	return found
}

// report prints what has changed.
type report struct {
	peersFile          string
	login, self, peers []byte
}

func printed(before *[]byte, value any) (bool, error) {
	line, err := json.Marshal(value)
	if err != nil || bytes.Equal(line, *before) {
		return false, err
	}
	*before = line
	_, err = os.Stdout.Write(append(line, '\n'))
	return true, err
}

func (r *report) status(status *ipnstate.Status) error {
	if status.AuthURL != "" {
		if _, err := printed(&r.login, login{"login", status.AuthURL}); err != nil {
			return err
		}
	}
	if status.Self == nil || status.Self.NodeID == 0 {
		return nil
	}
	if _, err := printed(&r.self, self{"self", status.BackendState, nodeOf(status.Self, status.User)}); err != nil {
		return err
	}
	list := []node{}
	for _, peer := range status.Peer {
		list = append(list, nodeOf(peer, status.User))
	}
	slices.SortFunc(list, func(one, other node) int { return cmp.Compare(one.ID, other.ID) })
	// The file first: whoever has read the line finds at least as much there.
	if err := r.write(list); err != nil {
		return err
	}
	_, err := printed(&r.peers, peers{"peers", list})
	return err
}

func (r *report) write(list []node) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	next := r.peersFile + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, r.peersFile)
}

// follow reports until the watch breaks, as it does when it was too slow.
func (r *report) follow(ctx context.Context, client *local.Client) error {
	watcher, err := client.WatchIPNBus(ctx, ipn.NotifyInitialState|ipn.NotifyPeerChanges)
	if err != nil {
		return err
	}
	defer watcher.Close()
	for {
		// Whatever the notice is about: the status is what tsnet believes.
		if _, err := watcher.Next(); err != nil {
			return err
		}
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		if err := r.status(status); err != nil {
			return err
		}
	}
}

func authKey() (string, error) {
	path := os.Getenv("NETMAP_CHECK_AUTH_KEY_FILE")
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

func run(ctx context.Context) error {
	url, directory := os.Getenv("NETMAP_CHECK_URL"), os.Getenv("NETMAP_CHECK_DIR")
	if url == "" || directory == "" {
		return errors.New("cannot join: NETMAP_CHECK_URL and NETMAP_CHECK_DIR say where to, and where to keep the state")
	}
	key, err := authKey()
	if err != nil {
		return fmt.Errorf("cannot read the auth key: %w", err)
	}
	// Nothing leaves the machine.
	envknob.SetNoLogsNoSupport()
	envknob.Setenv("TS_DISABLE_PORTMAPPER", "true")
	server := &tsnet.Server{
		ControlURL: url,
		AuthKey:    key,
		Dir:        filepath.Join(directory, "state"),
		Hostname:   os.Getenv("NETMAP_CHECK_HOSTNAME"),
		Logf:       log.Printf,
		UserLogf:   log.Printf,
	}
	client, err := server.LocalClient()
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer server.Close()
	r := &report{peersFile: filepath.Join(directory, "peers.json")}
	for ctx.Err() == nil {
		if err := r.follow(ctx, client); errors.As(err, new(*fs.PathError)) {
			return fmt.Errorf("cannot report: %w", err)
		} else if ctx.Err() == nil {
			log.Printf("watching anew: %v", err)
			select {
			case <-time.After(watchPause):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
