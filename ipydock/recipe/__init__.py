"""From a capture to everything that determines an image; pure but for the lock."""
