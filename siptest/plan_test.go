package siptest

import "testing"

func TestPlannedBytes(t *testing.T) {
	const page = "# Page\n\n| row | 5 | room.TestRow |\n\n## Memory plan\n\n| thing | bytes | test |\n|---|---|---|\n| row | 1,200 | `room.TestRow` |\n| bad | few | `room.TestBad` |\n\n## Next\n\n| late | 7 | `room.TestLate` |\n"
	if n, err := plannedBytes(page, "row"); n != 1200 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, thing := range []string{"bad", "late", "absent", ""} {
		if n, err := plannedBytes(page, thing); err == nil {
			t.Errorf("%q: %d", thing, n)
		}
	}
}
