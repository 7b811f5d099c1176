module hippius.monitoring/bed/prometheus

go 1.25.0

require github.com/prometheus/prometheus v0.313.4

// Replacements hold in the main module only, so the server's own stand here again.
replace cloud.google.com/go => cloud.google.com/go v0.123.0

exclude (
	github.com/grpc-ecosystem/grpc-gateway v1.14.7
	github.com/linode/linodego v1.0.0
	google.golang.org/api v0.30.0
)
