// A client of knit's contract that owes nothing to the Python SDK: it lists an
// application's containers and follows their logs to the end.
//
//	go-client HOST:PORT DIRECTORY
//
// DIRECTORY holds ca.pem, cert.pem and key.pem, as `knit credentials` writes them.
// Containers are printed first, a line each, then the log lines of each container
// as they arrive. It leaves with 0 once every log has been received whole.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	knitv1 "knit/integration/go-client/gen/knit/v1"
)

// The one name in every Application Master's certificate; each application has
// a certificate authority of its own.
const serverName = "knit-application-master"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go-client HOST:PORT DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "go-client:", err)
		os.Exit(1)
	}
}

func run(address, directory string) error {
	transport, err := mutualTLS(directory)
	if err != nil {
		return err
	}
	// passthrough: the address is YARN's; no proxy or resolver has a say in it.
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(transport), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := listContainers(ctx, knitv1.NewContainerServiceClient(connection)); err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if err := followLogs(ctx, knitv1.NewLogServiceClient(connection)); err != nil {
		return fmt.Errorf("follow logs: %w", err)
	}
	return nil
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

func listContainers(ctx context.Context, client knitv1.ContainerServiceClient) error {
	response, err := client.ListContainers(ctx, &knitv1.ListContainersRequest{})
	if err != nil {
		return err
	}
	for _, container := range response.GetContainers() {
		fmt.Printf("container %s %d %s %s\n", container.GetServiceName(), container.GetRank(),
			container.GetContainerId(), container.GetState())
	}
	return nil
}

// logName is one file of one container.
type logName struct{ containerID, file string }

func followLogs(ctx context.Context, client knitv1.LogServiceClient) error {
	stream, err := client.StreamLogs(ctx, &knitv1.StreamLogsRequest{FileNames: []string{"stdout"}, Follow: true})
	if err != nil {
		return err
	}
	partial := map[logName][]byte{}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if end := response.GetEnd(); end != nil {
			if end.GetIncompleteReason() != "" {
				return fmt.Errorf("%s of %s is incomplete: %s", end.GetFileName(), end.GetContainerId(), end.GetIncompleteReason())
			}
			fmt.Fprintf(out, "end %s %d %d\n", end.GetServiceName(), end.GetRank(), end.GetOffsetBytes())
			continue
		}
		chunk := response.GetChunk()
		name := logName{chunk.GetContainerId(), chunk.GetFileName()}
		data := append(partial[name], chunk.GetData()...)
		for {
			line, rest, found := bytes.Cut(data, []byte("\n"))
			if !found {
				break
			}
			fmt.Fprintf(out, "log %s %d %s\n", chunk.GetServiceName(), chunk.GetRank(), line)
			data = rest
		}
		partial[name] = data
	}
}
