"""What users hold: the client, applications, their containers and logs."""
