"""The console: a web server of its own process, that asks the daemon over its socket and reads the record.

It opens no camera and runs no model, so that it still answers, and says why, when the daemon is dead; nothing it imports may
bring NumPy, OpenCV or ONNX Runtime. Pages are modules in `edged/console/pages/` (see there how to add one), plain HTML with
forms; what needs a script says so and does without.
"""
