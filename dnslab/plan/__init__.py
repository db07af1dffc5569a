"""What is to be measured, as data: no clock, no numpy, no network, and of files only their bytes."""
