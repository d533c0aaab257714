// Package api has what the admin API and its clients say to each other: the JSON types, and a client.
package api

// Error is what every refusal of the admin API has in its body, as {"error": {...}}.
type Error struct {
	// Code is a word from a closed list.
	Code Code `json:"code" doc:"a word from a closed list"`
	// Message says what is wrong in plain words, and what to do about it.
	Message string `json:"message" doc:"what is wrong, and what to do about it"`
	// Problems has one line for each thing that is wrong with a configuration.
	Problems []string `json:"problems,omitempty" doc:"what is wrong with a configuration, one thing each"`
}

// Error returns the message.
func (e *Error) Error() string { return "api: " + e.Message }

// Failure is the body of a refusal.
type Failure struct {
	Error *Error `json:"error" doc:"what is wrong"`
}

// Code says what kind of refusal it is.
type Code string

// The codes, with the HTTP status that each comes with.
const (
	BadRequest           Code = "bad_request"            // 400
	Unauthorized         Code = "unauthorized"           // 401
	Forbidden            Code = "forbidden"              // 403
	NotFound             Code = "not_found"              // 404
	MethodNotAllowed     Code = "method_not_allowed"     // 405
	Conflict             Code = "conflict"               // 409: what is there does not allow it
	PreconditionFailed   Code = "precondition_failed"    // 412: it has changed since it was read
	TooLarge             Code = "too_large"              // 413
	UnsupportedMediaType Code = "unsupported_media_type" // 415
	Misdirected          Code = "misdirected"            // 421: Host is none of ours
	Unprocessable        Code = "unprocessable"          // 422: the configuration was refused
	PreconditionRequired Code = "precondition_required"  // 428: If-Match is missing
	Internal             Code = "internal"               // 500
	Unavailable          Code = "unavailable"            // 503: too much at once, or stopping
)

// Codes returns all codes.
func Codes() []Code {
	return []Code{BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, Conflict, PreconditionFailed,
		TooLarge, UnsupportedMediaType, Misdirected, Unprocessable, PreconditionRequired, Internal, Unavailable}
}
