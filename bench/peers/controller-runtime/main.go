// Command controller-runtime is an admission webhook as people write it in Go, and the least that one does: it decodes the object
// before and after, and allows the write. It is what lockwarden's own figures stand beside.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// allowAll decodes what it is asked about, and allows it.
type allowAll struct {
	decoder admission.Decoder
}

func (a allowAll) Handle(_ context.Context, req admission.Request) admission.Response {
	for _, raw := range []runtime.RawExtension{req.Object, req.OldObject} {
		if len(raw.Raw) == 0 {
			continue
		}
		if err := a.decoder.DecodeRaw(raw, newObject(req.Kind.Kind)); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
	}
	return admission.Allowed("")
}

func newObject(kind string) runtime.Object {
	switch kind {
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "Endpoints":
		return &corev1.Endpoints{}
	default:
		return &coordinationv1.Lease{}
	}
}

func main() {
	address := flag.String("address", "127.0.0.1", "IP address to listen on")
	port := flag.Int("port", 9443, "port to listen on")
	certDir := flag.String("cert-dir", "", "folder with tls.crt and tls.key")
	flag.Parse()
	log.SetLogger(zap.New())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	server := webhook.NewServer(webhook.Options{Host: *address, Port: *port, CertDir: *certDir})
	server.Register("/validate", &webhook.Admission{Handler: allowAll{decoder: admission.NewDecoder(scheme)}})
	if err := server.Start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
