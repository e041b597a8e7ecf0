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
	client, err := registryOf(c)
	if client == nil || err != nil {
		return nil, err
	}
	return &registry.Learner{
		Client: client, Codec: codec, Book: codec.Book(), Subject: subject,
		Register: c.Registry.AutoRegister,
	}, nil
}

// registryOf makes a client of the schema registry; nil: there is none. The caller closes it.
func registryOf(c *config.Config) (*registry.Client, error) {
	r := &c.Registry
	if r.URL == "" {
		return nil, nil
	}
	return registry.New(registry.Config{
		URLs: r.URLs(), Username: r.Username, Password: r.Password.Reveal(), TLS: r.TLS.Client(),
	})
}

// subjectOf is what the schemas of a topic's values go by in the registry.
func subjectOf(topic string) string { return topic + "-value" }
