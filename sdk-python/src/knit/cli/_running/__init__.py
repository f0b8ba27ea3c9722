"""An application that is submitted and seen through."""
