"""What CloudNotes is compared with: two notes services in FastAPI."""
