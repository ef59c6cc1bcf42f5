"""What the Python tests share: real servers in temporary directories, nothing mocked."""
