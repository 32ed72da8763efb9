"""The JSON documents that leave the device, as types: what `edged schema` prints is generated from them."""
