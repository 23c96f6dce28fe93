package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// shown writes JSON so that a terminal may show it: encoding/json leaves controls above 0x7e as they are, which a
// terminal obeys, and marks of direction, which turn a line round. Names are of others' choice.
type shown struct{ io.Writer }

func (s shown) Write(data []byte) (int, error) {
	if _, err := s.Writer.Write(escaped(data)); err != nil {
		return 0, err
	}
	return len(data), nil
}

// hidden are controls, format characters, separators of lines, and what else shows as nothing (Unicode's
// Default_Ignorable_Code_Point).
var hidden = []*unicode.RangeTable{
	unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
}

// escaped is the same JSON, in which every character that hides is written as an escape. They stand in strings only; line
// breaks between values stay.
func escaped(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == '\n' || !unicode.In(r, hidden...) {
			out = append(out, data[:size]...)
		} else if high, low := utf16.EncodeRune(r); r > 0xffff {
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		data = data[size:]
	}
	return out
}
