package proof

import (
	"reflect"
	"testing"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	values := []int64{50, 10, 40, 20, 30}
	for p, want := range map[int]int64{1: 10, 20: 10, 21: 20, 50: 30, 99: 50, 100: 50} {
		if got := Percentile(values, p); got != want {
			t.Errorf("p%d is %d, want %d", p, got, want)
		}
	}
	if got := Percentile(nil, 50); got != 0 {
		t.Errorf("p50 of nothing is %d", got)
	}
}

func TestRecordsComeBackInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Variable, dir)
	second := Record{Name: "A b", Order: 2, Counts: map[string]int64{"kills": 3}, Violations: 1}
	first := Record{Name: "Z", Order: 1, TimesMs: map[string][]int64{"recovery": {1, 2}}}
	for _, r := range []Record{second, first} {
		if err := r.Write(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(dir)
	for i := range got {
		if got[i].Made == "" || got[i].Cores < 1 {
			t.Errorf("made on %q with %d cores", got[i].Made, got[i].Cores)
		}
		got[i].Made, got[i].Cores = "", 0
	}
	if want := []Record{first, second}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a folder without records is read without an error")
	}
}

func TestNothingIsWrittenWithoutAFolder(t *testing.T) {
	t.Setenv(Variable, "")
	if err := (Record{Name: "x"}).Write(); err != nil {
		t.Error(err)
	}
}
