package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// event is one line of output. At is the candidate's own clock.
type event struct {
	Event    string    `json:"event"`
	At       time.Time `json:"at"`
	Identity string    `json:"identity,omitempty"`
	Leader   string    `json:"leader,omitempty"`
	Message  string    `json:"message,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// eventWriter keeps lines whole: client-go calls back from several goroutines.
type eventWriter struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newEventWriter(w io.Writer) *eventWriter {
	return &eventWriter{out: json.NewEncoder(w)}
}

func (w *eventWriter) write(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.At = time.Now().UTC()
	// NB: a reader that has gone away must not end an election, so a failed write is dropped.
	_ = w.out.Encode(e)
}

// errorSink turns what client-go logs as an error, such as a write that the API server refused, into events.
type errorSink struct {
	events   *eventWriter
	identity string
}

var _ logr.LogSink = (*errorSink)(nil)

func (s *errorSink) Init(logr.RuntimeInfo)          {}
func (s *errorSink) Enabled(int) bool               { return false }
func (s *errorSink) Info(int, string, ...any)       {}
func (s *errorSink) WithValues(...any) logr.LogSink { return s }
func (s *errorSink) WithName(string) logr.LogSink   { return s }
func (s *errorSink) Error(err error, message string, _ ...any) {
	e := event{Event: "error", Identity: s.identity, Message: message}
	if err != nil {
		e.Error = err.Error()
	}
	s.events.write(e)
}
