// Package worker is what both Go workers share: the command line, the commands on standard input, the lines on standard output.
package worker

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options is the command line: `subscribe BOOTSTRAP GROUP TOPIC[,TOPIC] [--name value]...`.
type Options struct {
	Bootstrap, ConsumerGroup              string
	Topics                                []string
	Instance, Assignor, Protocol, Session string
}

// Partition names one partition of one topic.
type Partition struct {
	Topic  string
	Number int32
}

func (p Partition) String() string { return p.Topic + "/" + strconv.Itoa(int(p.Number)) }

// Arguments reads the command line.
func Arguments() Options {
	args := os.Args[1:]
	options := Options{Bootstrap: args[1], ConsumerGroup: args[2], Topics: strings.Split(args[3], ","),
		Protocol: "classic", Session: "6000"}
	targets := map[string]*string{"--instance": &options.Instance, "--assignor": &options.Assignor,
		"--protocol": &options.Protocol, "--session-ms": &options.Session}
	for rest := args[4:]; len(rest) > 1; rest = rest[2:] {
		*targets[rest[0]] = rest[1]
	}
	return options
}

// SessionTimeout is --session-ms.
func (o Options) SessionTimeout() time.Duration {
	ms, err := strconv.Atoi(o.Session)
	Check(err)
	return time.Duration(ms) * time.Millisecond
}

// Commands yields the lines of standard input. Its end is the end of the worker: whoever started it is gone.
func Commands() <-chan string {
	commands := make(chan string, 64)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			commands <- strings.TrimSpace(lines.Text())
		}
		os.Exit(1)
	}()
	return commands
}

var saying sync.Mutex

// Say prints one event, with the moment in microseconds before it.
func Say(format string, values ...any) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Fprintf(os.Stdout, "%d %s\n", time.Now().UnixMicro(), fmt.Sprintf(format, values...))
}

// Listed is `topic/0,topic/1`, or `-` for none.
func Listed(topics map[string][]int32) string {
	var names []string
	for topic, numbers := range topics {
		for _, number := range numbers {
			names = append(names, Partition{topic, number}.String())
		}
	}
	return joined(names)
}

// ListedOffsets is `topic/0@17,topic/1@4`, or `-` for none.
func ListedOffsets(offsets map[Partition]int64) string {
	var names []string
	for partition, offset := range offsets {
		names = append(names, fmt.Sprintf("%v@%d", partition, offset))
	}
	return joined(names)
}

func joined(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// Check ends the worker on an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
