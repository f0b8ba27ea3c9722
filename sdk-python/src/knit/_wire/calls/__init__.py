"""The calls of the contract, each as a value; a module for each gRPC service or subject."""
