package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestWhatIsShownHidesNothingAndSaysTheSame(t *testing.T) {
	name := "a\x00\x07\r\n\x1b[31m\x7f\u0085\u009b\u061c\u200b\u2028\u202e\u2066\ufeff\U000e0041\u034f\u115f\u180b\u3164\ufe0f\uffa0\U000e0100 é日😀<>&"
	var out bytes.Buffer
	if err := json.NewEncoder(shown{&out}).Encode(Peer{Name: name}); err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(out.String(), "\n")
	if found := strings.IndexAny(text, "\x00\x07\r\n\x1b\x7f\u0085\u009b\u061c\u200b\u2028\u202e\u2066\ufeff\U000e0041\u034f\u115f\u180b\u3164\ufe0f\uffa0\U000e0100"); found >= 0 {
		t.Errorf("%q holds a character that hides, at %d", text, found)
	}
	var back Peer
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Name != name {
		t.Errorf("%q came back as %q (%v)", name, back.Name, err)
	}
}
