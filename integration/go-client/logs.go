package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	knitv1 "knit/integration/go-client/gen/knit/v1"
)

// logName is one file of one container.
type logName struct{ containerID, file string }

func (app *application) followLogs(ctx context.Context) error {
	stream, err := app.logs.StreamLogs(ctx, &knitv1.StreamLogsRequest{FileNames: []string{"stdout"}, Follow: true})
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
