"""Hadoop's RPC: protocol buffers over SASL, without a JVM."""
