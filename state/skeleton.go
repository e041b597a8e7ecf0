package state

import "sessionizer/session"

func Open(dir string, o Options) (*Store, error)                        { panic("state: skeleton") }
func Wipe(dir string, o Options) error                                  { panic("state: skeleton") }
func (s *Store) Close() error                                           { panic("state: skeleton") }
func (s *Store) Err() error                                             { panic("state: skeleton") }
func (s *Store) Partition(topic string, id int32) (*Partition, error)   { panic("state: skeleton") }
func (s *Store) Drop(topic string, id int32) error                      { panic("state: skeleton") }
func AppendMeta(dst []byte, p Position) []byte                          { panic("state: skeleton") }
func DecodeMeta(value []byte) (Position, error)                         { panic("state: skeleton") }
func IsMeta(changelogKey []byte) bool                                   { panic("state: skeleton") }
func (p *Partition) Position() (Position, bool)                         { panic("state: skeleton") }
func (p *Partition) Get(key []byte) (row, history []byte, err error)    { panic("state: skeleton") }
func (p *Partition) Put(key, row []byte, due session.Time)              { panic("state: skeleton") }
func (p *Partition) PutHistory(key, history []byte)                     { panic("state: skeleton") }
func (p *Partition) Due(t session.Time, limit int, d [][]byte) [][]byte { panic("state: skeleton") }
func (p *Partition) Dirty() (rows, bytes int)                           { panic("state: skeleton") }
func (p *Partition) Changes(yield func(key, value []byte) bool)         { panic("state: skeleton") }
func (p *Partition) Digest() Digest                                     { panic("state: skeleton") }
func (p *Partition) Commit(pos Position) error                          { panic("state: skeleton") }
func (p *Partition) Abort()                                             { panic("state: skeleton") }
func (p *Partition) Restore() (*Restore, error)                         { panic("state: skeleton") }
func (p *Partition) Flush() error                                       { panic("state: skeleton") }
func (p *Partition) Close() error                                       { panic("state: skeleton") }
func (r *Restore) Apply(key, value []byte) error                        { panic("state: skeleton") }
func (r *Restore) Finish(pos Position) error                            { panic("state: skeleton") }
func (r *Restore) Abort() error                                         { panic("state: skeleton") }
