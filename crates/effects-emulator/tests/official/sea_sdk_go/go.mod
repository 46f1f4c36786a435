module effects/sea_sdk_go

go 1.22.12

require github.com/SeaArt-Infra/sea-sdk-go v0.3.2
