package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	knitv1 "knit/integration/go-client/gen/knit/v1"
)

const (
	// The one name in every Application Master's certificate; each application has
	// a certificate authority of its own.
	serverName = "knit-application-master"
	// Answers that list things end before 4 MiB, but one thing may be larger.
	maxMessageBytes = 16 << 20
)

// application has the clients of one application. Nothing in it is special to one
// program: take it as it is.
type application struct {
	connection   *grpc.ClientConn
	applications knitv1.ApplicationServiceClient
	containers   knitv1.ContainerServiceClient
	events       knitv1.EventServiceClient
	keyValues    knitv1.KeyValueServiceClient
	logs         knitv1.LogServiceClient
}

// connect makes them for the application at address, with the certificates in
// directory. No connection is made before the first call.
func connect(address, directory string) (*application, error) {
	transport, err := mutualTLS(directory)
	if err != nil {
		return nil, err
	}
	// passthrough: the address is YARN's; no proxy or resolver has a say in it.
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(transport), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
		// A network that is gone is noticed.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}))
	if err != nil {
		return nil, err
	}
	return &application{
		connection:   connection,
		applications: knitv1.NewApplicationServiceClient(connection),
		containers:   knitv1.NewContainerServiceClient(connection),
		events:       knitv1.NewEventServiceClient(connection),
		keyValues:    knitv1.NewKeyValueServiceClient(connection),
		logs:         knitv1.NewLogServiceClient(connection),
	}, nil
}

func mutualTLS(directory string) (credentials.TransportCredentials, error) {
	ca, err := os.ReadFile(filepath.Join(directory, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem"))
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      roots,
		ServerName:   serverName,
		MinVersion:   tls.VersionTLS12,
	}), nil
}
