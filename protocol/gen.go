package protocol

//go:generate go run ./gen
