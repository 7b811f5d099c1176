// SPDX-License-Identifier: GPL-3.0-or-later

// Tempo 1.5.0 for a Go of today: the same server behind a main package of ours.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	gogoproto "github.com/gogo/protobuf/proto"
	"github.com/grafana/dskit/flagext"
	"github.com/grafana/tempo/cmd/tempo/app"
	"github.com/grafana/tempo/pkg/util/log"
	"github.com/prometheus/common/version"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v2"
)

const configFlag = "config.file"

// bothCodec encodes Tempo's messages, which are gogo's, and grpc's own health checks, which are not: gogo panics on them.
// Several packages register a codec called "proto" and the last one wins; since Go 1.21 initialises packages in another
// order that is grpc's own, which panics on gogo's messages.
type bothCodec struct{}

func (bothCodec) Name() string { return "proto" }

func (bothCodec) Marshal(message interface{}) ([]byte, error) {
	if other, ok := message.(proto.Message); ok {
		return proto.Marshal(other)
	}
	return gogoproto.Marshal(message.(gogoproto.Message))
}

func (bothCodec) Unmarshal(data []byte, message interface{}) error {
	if other, ok := message.(proto.Message); ok {
		return proto.Unmarshal(data, other)
	}
	return gogoproto.Unmarshal(data, message.(gogoproto.Message))
}

func main() {
	encoding.RegisterCodec(bothCodec{})
	printVersion := flag.Bool("version", false, "Print this builds version information")
	// Tempo has this flag since 2.0.
	verify := flag.Bool("config.verify", false, "Verify configuration and exit")
	config := &app.Config{}
	config.RegisterFlagsAndApplyDefaults("", flag.CommandLine)
	flagext.IgnoredFlag(flag.CommandLine, configFlag, "Configuration file to load")
	// The file lies between the defaults and the flags.
	if err := overlay(config, fileArgument(os.Args[1:])); err != nil {
		fail("failed parsing config", err)
	}
	flag.Parse()
	if *printVersion {
		fmt.Println(version.Print("tempo"))
		return
	}
	forceInMemoryRings(config)
	log.InitLogger(&config.Server)
	config.CheckConfig()
	if *verify {
		return
	}
	tempo, err := app.New(*config)
	if err != nil {
		fail("error initialising Tempo", err)
	}
	if err := tempo.Run(); err != nil {
		fail("error running Tempo", err)
	}
}

// fileArgument finds the configuration file, which is read before the other flags are known.
func fileArgument(arguments []string) string {
	for i, argument := range arguments {
		name, value, joined := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if name != configFlag {
			continue
		}
		if !joined && i+1 < len(arguments) {
			return arguments[i+1]
		}
		return value
	}
	return ""
}

func overlay(config *app.Config, path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return yaml.UnmarshalStrict(text, config)
}

// forceInMemoryRings does what Tempo does where all its parts run in one process.
func forceInMemoryRings(config *app.Config) {
	if config.Target != app.SingleBinary {
		return
	}
	config.Ingester.LifecyclerConfig.RingConfig.KVStore.Store = "inmemory"
	config.Ingester.LifecyclerConfig.RingConfig.ReplicationFactor = 1
	config.Ingester.LifecyclerConfig.Addr = "127.0.0.1"
	config.Generator.Ring.KVStore.Store = "inmemory"
	config.Generator.Ring.InstanceAddr = "127.0.0.1"
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	os.Exit(1)
}
