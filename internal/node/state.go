package node

import "time"

// State is how far the life of a Node has come.
type State uint8

// The states.
const (
	Starting State = iota // Run has not begun, or has ended
	Serving
	Draining // nothing new is taken
)

// String returns "starting", "serving" or "draining".
func (s State) String() string {
	return [...]string{"starting", "serving", "draining"}[min(s, Draining)]
}

// State returns how far the life of n has come.
func (n *Node) State() State {
	switch {
	case n.draining.Load():
		return Draining
	case n.running.Load():
		return Serving
	}
	return Starting
}

// Loaded returns when the configuration in force was put there.
func (n *Node) Loaded() time.Time { return time.Unix(0, n.loaded.Load()) }

// Overloaded reports whether more comes in than can be handled, so that requests outside of dialogs are refused.
func (n *Node) Overloaded() bool { return n.net.Overloaded() }

// Outstanding returns how many transactions owe or await a final response: those that Drain waits for.
func (n *Node) Outstanding() int { return n.layer.Outstanding(0) }
