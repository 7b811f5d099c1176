module hippius.monitoring/bed/alertmanager

go 1.25.0

require github.com/prometheus/alertmanager v0.34.1
