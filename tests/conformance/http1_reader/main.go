// How Go's net/http reads bytes as HTTP/1.1: a line of JSON in, a line of JSON out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

type question struct {
	Role string `json:"role"`
	Data []byte `json:"data"`
}

type message struct {
	Method string `json:"method,omitempty"`
	Target string `json:"target,omitempty"`
	Host   string `json:"host"`
	Status int    `json:"status,omitempty"`
	Body   []byte `json:"body"`
	Whole  bool   `json:"whole"`
}

type answer struct {
	Messages []message `json:"messages"`
	Error    string    `json:"error,omitempty"`
}

type once struct {
	conn net.Conn
	done chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	if l.conn != nil {
		c := l.conn
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, io.EOF
}
func (l *once) Close() error   { return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

type conn struct {
	in     *bytes.Reader
	closed chan struct{}
	out    bytes.Buffer
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *conn) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}
func (c *conn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func serve(data []byte) answer {
	found := answer{Messages: []message{}}
	c := &conn{in: bytes.NewReader(data), closed: make(chan struct{})}
	l := &once{conn: c, done: make(chan struct{})}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		found.Messages = append(found.Messages, message{Method: r.Method, Target: r.RequestURI, Host: r.Host, Body: body, Whole: err == nil})
	})}
	go server.Serve(l)
	<-c.closed
	close(l.done)
	if line, _, ok := bytes.Cut(c.out.Bytes(), []byte("\r\n")); ok {
		found.Error = string(line)
	}
	return found
}

func read(data []byte) answer {
	found := answer{Messages: []message{}}
	reader := bufio.NewReader(bytes.NewReader(data))
	for range 17 {
		response, err := http.ReadResponse(reader, &http.Request{Method: "GET"})
		if err != nil {
			found.Error = err.Error()
			return found
		}
		if response.StatusCode >= 100 && response.StatusCode < 200 && response.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			found.Error = err.Error()
		}
		found.Messages = append(found.Messages, message{Status: response.StatusCode, Body: body, Whole: err == nil})
		return found
	}
	found.Error = "too many 1xx"
	return found
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	decoder := json.NewDecoder(lines)
	encoder := json.NewEncoder(out)
	for {
		var q question
		if decoder.Decode(&q) != nil {
			out.Flush()
			return
		}
		if q.Role == "server" {
			encoder.Encode(serve(q.Data))
		} else {
			encoder.Encode(read(q.Data))
		}
	}
}
