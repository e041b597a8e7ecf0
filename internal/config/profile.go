package config

func (l *loader) applyProfile() {}
