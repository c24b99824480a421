"""How an image is made and a kernel started in it: docker, podman and venv behind one interface."""
