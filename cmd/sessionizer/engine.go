package main

import (
	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/schemas/registry"
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

// learner makes what fills the codec's book from the registry; nil: there is no registry. subject
// is what the output's schemas go by; empty: nothing is registered or looked up there, and nothing
// is to be written. The caller closes its Client.
func learner(
	c *config.Config, codec *schemas.Codec, subject string,
) (*registry.Learner, error) {
	r := &c.Registry
	if r.URL == "" {
		return nil, nil
	}
	client, err := registry.New(registry.Config{
		URLs: r.URLs(), Username: r.Username, Password: r.Password.Reveal(), TLS: r.TLS.Client(),
	})
	if err != nil {
		return nil, err
	}
	return &registry.Learner{
		Client: client, Codec: codec, Book: codec.Book(), Subject: subject, Register: r.AutoRegister,
	}, nil
}

// subjectOf is what the schemas of a topic's values go by in the registry.
func subjectOf(topic string) string { return topic + "-value" }
