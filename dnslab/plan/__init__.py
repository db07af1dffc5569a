"""What is to be measured, as data. Uses no clock, no network and no numpy."""
