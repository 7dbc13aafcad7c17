"""What the stages share. Knows nothing of DVC; imports flow one way: stages, tools -> detector -> libraries."""
