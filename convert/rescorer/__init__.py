"""The network that scores detections anew: its crops, training and export."""
