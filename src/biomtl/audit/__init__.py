"""What a suite's texts share, and what a length limit would cut off."""
