"""What people write and what they are told: values without input and output."""
