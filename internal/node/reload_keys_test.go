package node

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-sip/tandem/internal/config"
)

// TestKeysOfFields checks that what is refused by a reload is called as in the file.
func TestKeysOfFields(t *testing.T) {
	sample, err := os.ReadFile("../config/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{config.Limits{}, config.Timers{}} {
		for i := range reflect.TypeOf(of).NumField() {
			if key := keyOf(reflect.TypeOf(of).Field(i).Name); !strings.Contains(string(sample), "\n  "+key+": ") {
				t.Errorf("%T: the file has no key %s", of, key)
			}
		}
	}
}
