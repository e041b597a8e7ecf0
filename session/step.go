package session

type history struct{}

func (h *history) clear() {}

// Step decides one event of the key s and advances the partition's watermarks with it.
func (r *Rules) Step(s *State, e *Event, w *Watermarks, out *Outcome) {}

// Expire ends what is due at w.Tick into out.Before.
func (r *Rules) Expire(s *State, w Watermarks, out *Outcome) {}

// Due returns the time above which the tick watermark lets Expire end a visit; NoTime: never.
func (r *Rules) Due(s *State) Time { return NoTime }

// Decode reads a key's two rows; nil or empty: none.
func (s *State) Decode(row, history []byte) error { return nil }

// AppendRow appends the key's row; nothing if the state is empty.
func (s *State) AppendRow(dst []byte) []byte { return dst }

// AppendHistory appends the key's history row; nothing if there is none.
func (s *State) AppendHistory(dst []byte) []byte { return dst }
