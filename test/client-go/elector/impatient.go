package main

import (
	"context"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// impatientLock misreads the lease duration of whoever holds the lock, as clients do that wait for the length of their own
// setting: the election behind it takes over while the holder is alive.
type impatientLock struct {
	resourcelock.Interface
	seconds int
}

func (l impatientLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if record == nil {
		return record, raw, err
	}
	misread := *record
	misread.LeaseDurationSeconds = l.seconds
	return &misread, raw, err
}
