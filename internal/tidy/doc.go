// Package tidy holds the layout of the repository, the direction of imports and the style of the
// code as ordinary tests. It has no code of its own. Its tests also read what no compiler looks at:
// the compose file and the examples in the documents.
package tidy
