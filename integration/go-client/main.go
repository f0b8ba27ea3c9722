// A client of knit's contract that owes nothing to the Python SDK.
//
//	go-client HOST:PORT DIRECTORY [COMMAND [ARGUMENT...]]
//
// DIRECTORY holds ca.pem, cert.pem and key.pem, as `knit credentials` writes them. Commands:
//
//	list                    containers, a line each
//	logs                    standard output of all containers, line by line, to the end
//	scale SERVICE COUNT     has the service have so many containers
//	events                  what changes of services and containers, to the application's end
//	put KEY VALUE           writes a key
//	watch PREFIX COUNT      what is written and deleted below a prefix, until so many keys were
//	shutdown                ends the application as SUCCEEDED
//
// Without a command: list, then logs. It leaves with 0 once all was done, and every log was received whole.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	knitv1 "knit/integration/go-client/gen/knit/v1"
)

func main() {
	if len(os.Args) < 3 || len(os.Args) > 6 {
		fmt.Fprintln(os.Stderr, "usage: go-client HOST:PORT DIRECTORY [COMMAND [ARGUMENT...]]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "go-client:", err)
		os.Exit(1)
	}
}

func run(address, directory string, command []string) error {
	app, err := connect(address, directory)
	if err != nil {
		return err
	}
	defer app.connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	switch {
	case len(command) == 0:
		if err := app.listContainers(ctx); err != nil {
			return err
		}
		return app.followLogs(ctx)
	case command[0] == "list" && len(command) == 1:
		return app.listContainers(ctx)
	case command[0] == "logs" && len(command) == 1:
		return app.followLogs(ctx)
	case command[0] == "scale" && len(command) == 3:
		return app.scale(ctx, command[1], command[2])
	case command[0] == "events" && len(command) == 1:
		return app.watchEvents(ctx)
	case command[0] == "put" && len(command) == 3:
		return app.put(ctx, command[1], command[2])
	case command[0] == "watch" && len(command) == 3:
		return app.watchKeys(ctx, command[1], command[2])
	case command[0] == "shutdown" && len(command) == 1:
		return app.shutdown(ctx)
	}
	return fmt.Errorf("there is no command %q", strings.Join(command, " "))
}

// listContainers prints all containers, a page at a time.
func (app *application) listContainers(ctx context.Context) error {
	token := ""
	for {
		page, err := app.containers.ListContainers(ctx, &knitv1.ListContainersRequest{PageToken: token})
		if err != nil {
			return fmt.Errorf("list containers: %w", err)
		}
		for _, each := range page.GetContainers() {
			fmt.Printf("container %s %d %s %s\n", each.GetServiceName(), each.GetRank(), each.GetContainerId(), stateOf(each))
		}
		if token = page.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

func stateOf(container *knitv1.Container) string {
	return strings.TrimPrefix(container.GetState().String(), "CONTAINER_STATE_")
}

// requestID names a wish, so that repeating the call after a broken connection carries it out once.
func requestID() string { return rand.Text() }

func (app *application) scale(ctx context.Context, service, words string) error {
	count, err := strconv.ParseInt(words, 10, 32)
	if err != nil {
		return err
	}
	answer, err := app.applications.ScaleService(ctx, &knitv1.ScaleServiceRequest{
		ServiceName: service,
		Amount:      &knitv1.ScaleServiceRequest_Count{Count: int32(count)},
		RequestId:   requestID(),
	})
	if err != nil {
		return fmt.Errorf("scale %s: %w", service, err)
	}
	fmt.Printf("service %s target %d\n", answer.GetService().GetName(), answer.GetService().GetTarget())
	return nil
}

func (app *application) put(ctx context.Context, key, value string) error {
	answer, err := app.keyValues.Put(ctx, &knitv1.PutRequest{
		Put:       &knitv1.PutOperation{Key: []byte(key), Value: []byte(value)},
		RequestId: requestID(),
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	fmt.Printf("revision %d\n", answer.GetRevision())
	return nil
}

func (app *application) shutdown(ctx context.Context) error {
	answer, err := app.applications.Shutdown(ctx, &knitv1.ShutdownRequest{FinalStatus: knitv1.FinalStatus_FINAL_STATUS_SUCCEEDED})
	if err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	fmt.Printf("outcome %s\n", strings.TrimPrefix(answer.GetOutcome().GetFinalStatus().String(), "FINAL_STATUS_"))
	return nil
}

// watchEvents prints what changes of services and containers, to the application's end.
func (app *application) watchEvents(ctx context.Context) error {
	kinds := []knitv1.EventKind{
		knitv1.EventKind_EVENT_KIND_APPLICATION, knitv1.EventKind_EVENT_KIND_SERVICE, knitv1.EventKind_EVENT_KIND_CONTAINER,
	}
	return app.watch(ctx, &knitv1.WatchEventsRequest{Kinds: kinds}, func(item *knitv1.WatchEventsResponse) bool {
		if position := item.GetPosition(); position != nil {
			fmt.Printf("position %d\n", position.GetSequence())
		}
		for _, change := range item.GetEvent().GetChanges() {
			if service := change.GetService(); service != nil {
				condition := strings.TrimPrefix(service.GetCondition().String(), "SERVICE_CONDITION_")
				fmt.Printf("event service %s %s target %d\n", service.GetName(), condition, service.GetTarget())
			}
			if container := change.GetContainer(); container != nil {
				fmt.Printf("event container %s %d %s\n", container.GetServiceName(), container.GetRank(), stateOf(container))
			}
		}
		return true
	})
}

// watchKeys prints what is written and deleted below a prefix, until so many keys were.
func (app *application) watchKeys(ctx context.Context, prefix, words string) error {
	count, err := strconv.Atoi(words)
	if err != nil {
		return err
	}
	request := &knitv1.WatchEventsRequest{
		Kinds:      []knitv1.EventKind{knitv1.EventKind_EVENT_KIND_KEY},
		KeyRanges:  []*knitv1.KeyRange{{Prefix: []byte(prefix)}},
		WithValues: true,
	}
	seen := 0
	return app.watch(ctx, request, func(item *knitv1.WatchEventsResponse) bool {
		if position := item.GetPosition(); position != nil && seen == 0 {
			fmt.Printf("watching after %d\n", position.GetSequence())
		}
		for _, change := range item.GetEvent().GetChanges() {
			key := change.GetKey()
			if key.GetCurrent() == nil {
				fmt.Printf("deleted %s\n", key.GetKey())
			} else {
				fmt.Printf("put %s %s\n", key.GetKey(), key.GetCurrent().GetValue())
			}
			seen++
		}
		return seen < count
	})
}

// watch hands on what comes, until the stream ends or wantsMore is false.
func (app *application) watch(
	ctx context.Context, request *knitv1.WatchEventsRequest, wantsMore func(*knitv1.WatchEventsResponse) bool,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := app.events.WatchEvents(ctx, request)
	if err != nil {
		return fmt.Errorf("watch events: %w", err)
	}
	for {
		item, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch events: %w", err)
		}
		if !wantsMore(item) {
			return nil
		}
	}
}
