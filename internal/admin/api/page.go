package api

// Page is a part of a list.
type Page[T any] struct {
	Items  []T `json:"items" doc:"the part that was asked for"`
	Total  int `json:"total" doc:"how many there are that pass the filters"`
	Offset int `json:"offset" doc:"how many of them were left out before the first"`
	Limit  int `json:"limit" doc:"how many are given at most"`
}
