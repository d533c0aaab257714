package load

import "time"

// SetPatience sets how late a generator may be before it takes itself for what limits the rate.
func SetPatience(g *Generator, d time.Duration) { g.patience = d }
