"""ONNX Runtime in a web page: headless Chromium, its processes, and the page that runs a file."""
