package processor

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// All are called and waited for, and the first error in their order is the one that counts,
// whichever came first.
func TestSideBySide(t *testing.T) {
	for n := range 4 {
		var all []int
		for i := range n {
			all = append(all, i)
		}
		var together sync.WaitGroup
		together.Add(n)
		done := make([]bool, n)
		err := sideBySide(all, func(i int) error {
			together.Done()
			together.Wait() // hangs if one waits for another to end
			done[i] = true
			if i == 0 {
				return nil
			}
			return fmt.Errorf("error %d", i)
		})
		for i, ok := range done {
			if !ok {
				t.Errorf("of %d, %d was not waited for", n, i)
			}
		}
		if got := fmt.Sprint(err); n < 2 && err != nil || n >= 2 && got != "error 1" {
			t.Errorf("of %d: %s", n, got)
		}
	}
	fails := errors.New("fails")
	if err := sideBySide([]int{0}, func(int) error { return fails }); !errors.Is(err, fails) {
		t.Errorf("of one: %v", err)
	}
}
