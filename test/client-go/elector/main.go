// Command elector is one candidate of a client-go leader election, run the way most Kubernetes controllers run theirs:
// it waits for the lock, leads until it is told to stop or loses the lock, and exits.
//
// Each event is one JSON line on standard output. SIGTERM and SIGINT stop it gracefully (exit code 0, and the lock is
// released when --release-on-cancel is set); a lost lock ends it with exit code 1, as kube-controller-manager does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

const (
	exitStopped = 0
	exitLost    = 1
	exitUsage   = 2
)

type options struct {
	kubeconfig      string
	namespace       string
	name            string
	identity        string
	lockType        string
	leaseDuration   time.Duration
	renewDeadline   time.Duration
	retryPeriod     time.Duration
	releaseOnCancel bool
	impatience      time.Duration
}

func main() {
	events := newEventWriter(os.Stdout)
	opts, err := parse(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, opts, events); err != nil {
		events.write(event{Event: "error", Message: "elector could not start", Error: err.Error()})
		os.Exit(exitUsage)
	}
	if ctx.Err() == nil {
		os.Exit(exitLost)
	}
	os.Exit(exitStopped)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("elector", flag.ContinueOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig file")
	flags.StringVar(&o.namespace, "namespace", "default", "namespace of the lock")
	flags.StringVar(&o.name, "name", "", "name of the lock")
	flags.StringVar(&o.identity, "identity", "", "holder identity of this candidate")
	flags.StringVar(&o.lockType, "lock-type", resourcelock.LeasesResourceLock, "kind of lock; client-go offers only `leases`")
	flags.DurationVar(&o.leaseDuration, "lease-duration", 15*time.Second, "how long others wait after the last renewal they saw")
	flags.DurationVar(&o.renewDeadline, "renew-deadline", 10*time.Second, "how long the holder keeps trying to renew")
	flags.DurationVar(&o.retryPeriod, "retry-period", 2*time.Second, "pause between tries")
	flags.BoolVar(&o.releaseOnCancel, "release-on-cancel", false, "release the lock on SIGTERM")
	flags.DurationVar(&o.impatience, "impatience", 0, "take every lease for one of this length, whatever its holder promised: a bug, to be refused")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.name == "" || o.identity == "" {
		return o, errors.New("--name and --identity are required")
	}
	return o, nil
}

// run elects until ctx ends or the lock is lost. An error means that the election never began.
func run(ctx context.Context, o options, events *eventWriter) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	lock, err := resourcelock.NewFromKubeconfig(o.lockType, o.namespace, o.name,
		resourcelock.ResourceLockConfig{Identity: o.identity}, config, o.renewDeadline)
	if err != nil {
		return err
	}
	if o.impatience > 0 {
		lock = impatientLock{Interface: lock, seconds: int(o.impatience / time.Second)}
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   o.leaseDuration,
		RenewDeadline:   o.renewDeadline,
		RetryPeriod:     o.retryPeriod,
		ReleaseOnCancel: o.releaseOnCancel,
		Name:            o.name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { events.write(event{Event: "started-leading", Identity: o.identity}) },
			OnStoppedLeading: func() { events.write(event{Event: "stopped-leading", Identity: o.identity}) },
			OnNewLeader:      func(leader string) { events.write(event{Event: "new-leader", Identity: o.identity, Leader: leader}) },
		},
	})
	if err != nil {
		return err
	}
	events.write(event{Event: "started", Identity: o.identity})
	elector.Run(klog.NewContext(ctx, logr.New(&errorSink{events: events, identity: o.identity})))
	return nil
}
