"""The demo: a made-up entrance through the real daemon, with a broker, a subscriber and a report; no camera needed."""
