"""The class of knit 0.1.1, on top of `Client`."""
