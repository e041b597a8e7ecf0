package main

import (
	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/session"
)

// engine makes the rules and the codec that every command runs events through.
func engine(c *config.Config) (*session.Rules, *schemas.Codec, error) {
	rules, err := c.SessionRules()
	if err != nil {
		return nil, nil, err
	}
	codec, err := c.Codec()
	if err != nil {
		return nil, nil, err
	}
	return rules, codec, nil
}
