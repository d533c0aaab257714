package load

import (
	"slices"
	"strings"

	"github.com/tandem-sip/tandem/sip"
)

// Scenario is what one arrival does.
type Scenario string

// The scenarios.
const (
	Call           Scenario = "call"            // INVITE, 180, 200, ACK; the caller hangs up
	CalleeBye      Scenario = "callee-bye"      // the same, and the callee hangs up
	Reinvite       Scenario = "reinvite"        // the caller changes the session halfway, and hangs up
	CalleeReinvite Scenario = "callee-reinvite" // the callee does both
	Options        Scenario = "options"
	Register       Scenario = "register"
	Message        Scenario = "message"
)

// Scenarios returns all scenarios.
func Scenarios() []Scenario {
	return []Scenario{Call, CalleeBye, Reinvite, CalleeReinvite, Options, Register, Message}
}

// Share is a scenario and how often it comes beside the others.
type Share struct {
	Scenario Scenario
	Weight   int // 1 or more
}

// maxWeight bounds the weight of a share.
const maxWeight = 1000

// action is what an end of a call does while the call is up.
type action uint8

const (
	sendReinvite action = iota
	sendBye
)

// script is what the ends of an arrival do.
type script struct {
	scenario Scenario
	method   string      // of the first request
	first    measure     // what its final response is counted as
	actions  [2][]action // of the caller and of the callee; spread evenly over the time that the call holds
}

// calling says whether the script makes a dialog.
func (s *script) calling() bool { return s.method == sip.MethodInvite }

var scripts = map[Scenario]*script{
	Call:           {Call, sip.MethodInvite, inviteTo200, [2][]action{{sendBye}, nil}},
	CalleeBye:      {CalleeBye, sip.MethodInvite, inviteTo200, [2][]action{nil, {sendBye}}},
	Reinvite:       {Reinvite, sip.MethodInvite, inviteTo200, [2][]action{{sendReinvite, sendBye}, nil}},
	CalleeReinvite: {CalleeReinvite, sip.MethodInvite, inviteTo200, [2][]action{nil, {sendReinvite, sendBye}}},
	Options:        {scenario: Options, method: sip.MethodOptions, first: optionsTo200},
	Register:       {scenario: Register, method: sip.MethodRegister, first: registerTo200},
	Message:        {scenario: Message, method: sip.MethodMessage, first: messageTo200},
}

// rotation returns the scripts in the order in which arrivals take them: each as often as its weight, and
// apart from each other as far as can be.
func rotation(mix []Share) []*script {
	type lot struct {
		script  *script
		weight  int
		current int
	}
	var lots []*lot
	total := 0
	for _, s := range mix {
		lots = append(lots, &lot{script: scripts[s.Scenario], weight: s.Weight})
		total += s.Weight
	}
	order := make([]*script, 0, total)
	for range total {
		for _, l := range lots {
			l.current += l.weight
		}
		next := slices.MaxFunc(lots, func(a, b *lot) int { return a.current - b.current })
		next.current -= total
		order = append(order, next.script)
	}
	return order
}

// mixText names what is offered, such as "call:8 options:1".
func mixText(mix []Share) string {
	if len(mix) == 1 {
		return string(mix[0].Scenario)
	}
	var parts []string
	for _, s := range mix {
		parts = append(parts, string(s.Scenario)+":"+itoa(s.Weight))
	}
	return strings.Join(parts, " ")
}
