package api

import "time"

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string `json:"status" doc:"ok, or why not"`
}

// Status says what a process is and how it does.
type Status struct {
	Version string `json:"version" doc:"of the program"`
	State   string `json:"state" doc:"starting, serving or draining"`
	// Started is when the process began.
	Started     time.Time     `json:"started" doc:"when the process began"`
	Config      Configuration `json:"config" doc:"the configuration in force"`
	Connections int           `json:"connections" doc:"open now"`
	// Transactions are those that a drain waits for.
	Transactions int `json:"transactions" doc:"that owe or await a final response, and that a drain waits for"`
	AliasRows    int `json:"alias_rows" doc:"of all served domains together"`
	// Domains are those that are served, in the order of the configuration.
	Domains []Domain `json:"domains" doc:"that are served"`
}

// Domain is a served domain.
type Domain struct {
	Name      string     `json:"name" doc:"as configured"`
	AliasRows int        `json:"alias_rows" doc:"of its alias table"`
	Names     []string   `json:"certificate_names" doc:"that its certificate proves"`
	Expiry    *time.Time `json:"certificate_expiry,omitempty" doc:"when its certificate ends"`
	DaysLeft  *int       `json:"certificate_days_left,omitempty" doc:"until then"`
}

// Configuration says which configuration is in force.
type Configuration struct {
	File string `json:"file" doc:"its name"`
	// Loaded is when it was put into force.
	Loaded   time.Time `json:"loaded" doc:"when it was put into force"`
	Warnings []string  `json:"warnings" doc:"what is suspicious about it"`
}

// Done is the answer to an action.
type Done struct {
	Result string `json:"result" doc:"what was done, or has begun"`
}

// Log says how much is logged.
type Log struct {
	Level      string `json:"level" doc:"debug, info, warn or error"`
	Configured string `json:"configured" doc:"that of the configuration"`
	// Until is when the level is that of the configuration again.
	Until *time.Time `json:"until,omitempty" doc:"when it is that of the configuration again"`
}
