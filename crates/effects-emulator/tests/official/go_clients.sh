#!/usr/bin/env bash
# Builds the gateway's official clients in Go, unchanged, into a folder:
#
#     crates/effects-emulator/tests/official/go_clients.sh target/official-go
#
# It needs Go 1.26 (or 1.21, which fetches that by itself) and Go's module proxy.
set -euo pipefail
mkdir -p "$1"
GOBIN="$(cd "$1" && pwd)"
export GOBIN
cd "$(dirname "$0")/sea_sdk_go"
go install .
go install github.com/VtrixAI/vtrix-cli@v1.0.1
go install github.com/SeaCloudAI/seacloud-cli@v0.2.0
