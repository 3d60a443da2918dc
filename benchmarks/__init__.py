"""Speed and memory, side by side with peers and limits; never part of the tests."""
