package config

import "sessionizer/schemas"

// Places returns where the things that are read are in an event, by the names of paths: those of
// the profile, or what paths says instead. A name that has no place is there too.
func (c *Config) Places() (map[string][]string, error) {
	profile := c.profile
	if profile == nil {
		p, err := schemas.LoadProfile(c.Profile)
		if err != nil {
			return nil, err
		}
		profile = &p
	}
	places := map[string][]string{}
	for _, name := range schemas.PathNames() {
		places[name] = profile.Paths[name]
	}
	for name, list := range c.Paths {
		places[name] = list
	}
	return places, nil
}
